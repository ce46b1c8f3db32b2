package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// story is what happens to a director, which weir and keepalived go through side by side,
// each on a machine and a segment of its own.
type story struct {
	name  string
	conf  string // DIR is a folder of the director's own
	rival string // another director of the segment, which steps start
	steps []step
	short bool     // it is told in short runs, too
	whole bool     // weir's part is played by the program itself
	ours  []string // weir's states of VI_1, where they are others on purpose
}

// step is something that happens, and what the states come to be.
type step struct {
	do   func(*stage)
	want string // states of VI_1 and VI_2
}

// stage is one machine of a story.
type stage struct {
	t     *testing.T
	host  *host
	other *host // the rival's
	dir   string
	story *story
	rival *program
}

// keepalived reads the states that keepalived's log tells of.
func (st *stage) keepalived(text string) (state func(string) string, of func(string) []string) {
	return st.program("keepalived", text, `(?i)\((VI_\d)\):? entering (\w+) state`)
}

// weir reads the states that weir's log tells of.
func (st *stage) weir(text string) (state func(string) string, of func(string) []string) {
	return st.program("weir", smallTables+text, `msg="vrrp state changed".* instance=(VI_\d) from=\w+ to=(\w+)`)
}

// weirOf is weir as the story wants it.
func (st *stage) weirOf(text string) (state func(string) string, of func(string) []string) {
	if st.story.whole {
		return st.weir(text)
	}
	d := startDirector(st.t, st.host, text)
	return d.state, d.of
}

// program starts one whose log says so what state an instance enters.
func (st *stage) program(name, text, entering string) (state func(string) string, of func(string) []string) {
	p := startProgram(st.t, st.host, name, text)
	enters := regexp.MustCompile(entering)
	read := func() *stated {
		s := &stated{}
		for _, m := range enters.FindAllStringSubmatch(p.log(st.t), -1) {
			s.note(m[1], m[2])
		}
		return s
	}
	return func(name string) string { return read().state(name) }, func(name string) []string { return read().of(name) }
}

func down(device string) func(*stage) { return func(st *stage) { st.set(device, false) } }
func up(device string) func(*stage)   { return func(st *stage) { st.set(device, true) } }

func (st *stage) set(device string, up bool) {
	l, err := st.host.LinkByName(device)
	must(st.t, err)
	if up {
		must(st.t, st.host.LinkSetUp(l))
		return
	}
	must(st.t, st.host.LinkSetDown(l))
}

// withAddress gives the first interface its address, or takes it away.
func withAddress(there bool) func(*stage) {
	return func(st *stage) {
		a, err := netlink.ParseAddr("192.168.25.31/24")
		must(st.t, err)
		if there {
			must(st.t, st.host.AddrAdd(st.host.dev, a))
			return
		}
		must(st.t, st.host.AddrDel(st.host.dev, a))
	}
}

// write has a file of the director hold a text; remove takes it away.
func write(name, text string) func(*stage) {
	return func(st *stage) {
		path := filepath.Join(st.dir, name)
		must(st.t, os.WriteFile(path+".new", []byte(text), 0o644))
		must(st.t, os.Rename(path+".new", path))
	}
}

func remove(name string) func(*stage) {
	return func(st *stage) { must(st.t, os.Remove(filepath.Join(st.dir, name))) }
}

func rivalStarts(st *stage) { st.rival = startProgram(st.t, st.other, "keepalived", st.story.rival) }
func rivalStops(st *stage)  { st.rival.stop() }
func nothing(*stage)        {}

// inTurn does one thing after another.
func inTurn(first, second func(*stage)) func(*stage) {
	return func(st *stage) { first(st); second(st) }
}

// waitFor gives what is to change nothing its time.
func waitFor(d time.Duration) func(*stage) { return func(*stage) { time.Sleep(d) } }

// instance is a vrrp_instance of a story.
func instance(n int, device string, priority int, more string) string {
	return fmt.Sprintf("vrrp_instance VI_%d {\nstate BACKUP\ninterface %s\nvirtual_router_id %d\npriority %d\nadvert_int 1\ngarp_master_delay 0\nvirtual_ipaddress {\n192.168.%d.10%d\n}\n%s\n}\n",
		n, device, 50+n, priority, map[string]int{"ens160": 25, "ens192": 26}[device], n, more)
}

const (
	inBoth     = "vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\n}\n"
	flagScript = "global_defs {\nscript_user root\n}\nvrrp_script flag {\nscript \"/usr/bin/test ! -e DIR/bad\"\ninterval 1\n%s\n}\n"
	numberFile = "track_file n {\nfile DIR/n\n%s\n}\n"
)

func twoOf(more string) string {
	return instance(1, "ens160", 100, more) + instance(2, "ens192", 100, "")
}

var stories = []story{
	{name: "an interface goes and comes", short: true, conf: instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {down("ens160"), "FAULT"}, {up("ens160"), "MASTER"}}},
	{name: "a tracked interface goes and comes", conf: instance(1, "ens160", 100, "track_interface {\nens224\n}"),
		steps: []step{{nothing, "MASTER"}, {down("ens224"), "FAULT"}, {up("ens224"), "MASTER"}}},
	{name: "a tracked interface in reverse", conf: instance(1, "ens160", 100, "track_interface {\nens224 weight 0 reverse\n}"),
		steps: []step{{nothing, "FAULT"}, {down("ens224"), "MASTER"}, {up("ens224"), "FAULT"}}},
	{name: "a group takes over and fails together", short: true, conf: inBoth + twoOf(""),
		steps: []step{{nothing, "MASTER MASTER"}, {down("ens192"), "FAULT FAULT"}, {up("ens192"), "MASTER MASTER"}}},
	{name: "a group gives way to a rival of one", short: true, conf: inBoth + twoOf(""), rival: instance(1, "ens160", 200, ""),
		steps: []step{{nothing, "MASTER MASTER"}, {rivalStarts, "BACKUP BACKUP"}, {rivalStops, "MASTER MASTER"}}},
	{name: "a group does not take over alone", conf: inBoth + twoOf(""), rival: instance(1, "ens160", 200, ""),
		steps: []step{{rivalStarts, "BACKUP BACKUP"}, {rivalStops, "MASTER MASTER"}}},
	{name: "a group tracks an interface", conf: "vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\ntrack_interface {\nens224\n}\n}\n" + twoOf(""),
		steps: []step{{nothing, "MASTER MASTER"}, {down("ens224"), "FAULT FAULT"}, {up("ens224"), "MASTER MASTER"}}},
	{name: "a weight of an interface", short: true, conf: instance(1, "ens160", 100, "track_interface {\nens224 weight -20\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {down("ens224"), "BACKUP"}, {up("ens224"), "MASTER"}}},
	{name: "a positive weight of an interface", conf: instance(1, "ens160", 80, "track_interface {\nens224 weight 20\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {down("ens224"), "BACKUP"}, {up("ens224"), "MASTER"}}},
	{name: "nopreempt", conf: instance(1, "ens160", 100, "nopreempt\ntrack_interface {\nens224\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {down("ens224"), "FAULT"}, {up("ens224"), "BACKUP"}, {rivalStops, "MASTER"}}},
	{name: "dont_track_primary", conf: instance(1, "ens160", 100, "dont_track_primary"),
		steps: []step{{nothing, "MASTER"}}},
	{name: "a script fails", short: true, conf: fmt.Sprintf(flagScript, "") + instance(1, "ens160", 100, "track_script {\nflag\n}"),
		steps: []step{{nothing, "MASTER"}, {write("bad", ""), "FAULT"}, {remove("bad"), "MASTER"}}},
	{name: "a script with rise and fall", conf: fmt.Sprintf(flagScript, "rise 2\nfall 2") + instance(1, "ens160", 100, "track_script {\nflag\n}"),
		steps: []step{{nothing, "MASTER"}, {write("bad", ""), "FAULT"}, {remove("bad"), "MASTER"}}},
	{name: "a script that begins as failed", conf: fmt.Sprintf(flagScript, "init_fail\nrise 2") + instance(1, "ens160", 100, "track_script {\nflag\n}"),
		steps: []step{{nothing, "MASTER"}}},
	{name: "a script with a weight", conf: fmt.Sprintf(flagScript, "weight -20") + instance(1, "ens160", 100, "track_script {\nflag\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {write("bad", ""), "BACKUP"}, {remove("bad"), "MASTER"}}},
	{name: "a script with a positive weight", conf: fmt.Sprintf(flagScript, "weight 20") + instance(1, "ens160", 80, "track_script {\nflag\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {write("bad", ""), "BACKUP"}, {remove("bad"), "MASTER"}}},
	{name: "a script of a group", conf: fmt.Sprintf(flagScript, "") + "vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\ntrack_script {\nflag\n}\n}\n" + twoOf(""),
		steps: []step{{nothing, "MASTER MASTER"}, {write("bad", ""), "FAULT FAULT"}, {remove("bad"), "MASTER MASTER"}}},
	{name: "a script of a member", conf: fmt.Sprintf(flagScript, "") + inBoth + twoOf("track_script {\nflag\n}"),
		steps: []step{{nothing, "MASTER MASTER"}, {write("bad", ""), "FAULT FAULT"}, {remove("bad"), "MASTER MASTER"}}},
	{name: "a file with a number", short: true, conf: fmt.Sprintf(numberFile, "weight 1\ninit_file 0") + instance(1, "ens160", 100, "track_file {\nn\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{write("n", "0"), "MASTER"}, {rivalStarts, "MASTER"}, {write("n", "-20"), "BACKUP"}, {write("n", "5"), "MASTER"}}},
	{name: "a file without a weight", conf: fmt.Sprintf(numberFile, "weight 0\ninit_file 0") + instance(1, "ens160", 100, "track_file {\nn\n}"),
		steps: []step{{write("n", "0"), "MASTER"}, {write("n", "1"), "FAULT"}, {write("n", "0"), "MASTER"}}},
	{name: "a file below all", conf: fmt.Sprintf(numberFile, "weight 2\ninit_file 0") + instance(1, "ens160", 100, "track_file {\nn\n}"),
		steps: []step{{write("n", "0"), "MASTER"}, {write("n", "-130"), "FAULT"}, {write("n", "-10"), "MASTER"}}},
	{name: "a startup delay", conf: "global_defs {\nvrrp_startup_delay 2\n}\n" + instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}}},
	{name: "a startup delay beside a rival", conf: "global_defs {\nvrrp_startup_delay 2\n}\n" + instance(1, "ens160", 80, ""), rival: instance(1, "ens160", 90, ""),
		steps: []step{{rivalStarts, "BACKUP"}, {rivalStops, "MASTER"}}},
	{name: "an owner", conf: strings.Replace(instance(1, "ens160", 255, ""), "BACKUP", "MASTER", 1),
		steps: []step{{nothing, "MASTER"}, {down("ens160"), "FAULT"}, {up("ens160"), "MASTER"}}, ours: []string{"MASTER", "FAULT", "MASTER"}},
	{name: "a group of masters", conf: strings.ReplaceAll(inBoth+twoOf(""), "state BACKUP", "state MASTER"),
		steps: []step{{nothing, "MASTER MASTER"}, {down("ens192"), "FAULT FAULT"}, {up("ens192"), "MASTER MASTER"}}},
	{name: "the address of the interface goes and comes", conf: instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {withAddress(false), "FAULT"}, {withAddress(true), "MASTER"}}},
	{name: "a script with a weight is not tracked in a group", conf: fmt.Sprintf(flagScript, "weight -20") + inBoth + twoOf("track_script {\nflag\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER MASTER"}, {rivalStarts, "MASTER MASTER"}, {write("bad", ""), "MASTER MASTER"}, {waitFor(3 * time.Second), "MASTER MASTER"}}},
	{name: "sync_group_tracking_weight", conf: strings.Replace(inBoth, "group {", "sync_group_tracking_weight\ngroup {", 1) + twoOf("track_interface {\nens224 weight -20\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER MASTER"}, {rivalStarts, "MASTER MASTER"}, {down("ens224"), "BACKUP BACKUP"}, {rivalStops, "MASTER MASTER"}}},
	{name: "a script with a reversed weight", conf: fmt.Sprintf(flagScript, "weight -20 reverse") + instance(1, "ens160", 80, "track_script {\nflag\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "BACKUP"}, {write("bad", ""), "MASTER"}, {remove("bad"), "BACKUP"}}},
	{name: "changes of a tracked interface that are held back", whole: true,
		conf: "interface_up_down_delays {\nens224 4 4\n}\n" + instance(1, "ens160", 100, "track_interface {\nens224\n}"),
		steps: []step{
			{nothing, "MASTER"}, {inTurn(down("ens224"), up("ens224")), "MASTER"}, {waitFor(5 * time.Second), "MASTER"},
			{down("ens224"), "FAULT"}, {inTurn(up("ens224"), down("ens224")), "FAULT"}, {waitFor(5 * time.Second), "FAULT"}, {up("ens224"), "MASTER"},
		}},
	{name: "changes of an instance's interface that are held back", whole: true,
		conf:  "interface_up_down_delays {\nens160 1 1.5\n}\n" + instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {inTurn(down("ens160"), up("ens160")), "MASTER"}, {down("ens160"), "FAULT"}, {up("ens160"), "MASTER"}}},
	{name: "preempt_delay", conf: instance(1, "ens160", 100, "preempt_delay 3\ntrack_interface {\nens224\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {rivalStarts, "MASTER"}, {down("ens224"), "FAULT"}, {up("ens224"), "BACKUP"}, {nothing, "MASTER"}}},
}

// TestStoriesLikeKeepalived wants the same states in the same order from weir and from the
// real keepalived.
func TestStoriesLikeKeepalived(t *testing.T) {
	for _, s := range stories {
		if !s.short && !*all {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := newStage(t, &s), newStage(t, &s)
			weir, of := ours.weirOf(strings.ReplaceAll(s.conf, "DIR", ours.dir))
			keepalived, told := theirs.keepalived(strings.ReplaceAll(s.conf, "DIR", theirs.dir))
			for n, step := range s.steps {
				step.do(ours)
				step.do(theirs)
				waitStates(t, fmt.Sprintf("weir, step %d", n+1), step.want, weir)
				waitStates(t, fmt.Sprintf("keepalived, step %d", n+1), step.want, keepalived)
			}
			for _, name := range []string{"VI_1", "VI_2"} {
				got, want := of(name), told(name)
				if s.ours != nil && name == "VI_1" {
					want = s.ours
				}
				if !slices.Equal(plain(got), plain(want)) {
					t.Errorf("%s: weir %v, keepalived %v", name, got, want)
				}
			}
		})
	}
}

// plain leaves out how an instance begins: keepalived says nothing of the time in which it
// waits for its scripts, which is FAULT here.
func plain(states []string) []string {
	for len(states) > 0 && (states[0] == "FAULT" || states[0] == "BACKUP") {
		states = states[1:]
	}
	return states
}

// newStage is a machine with three devices, and another one on its first segment.
func newStage(t *testing.T, s *story) *stage {
	t.Helper()
	st := &stage{t: t, dir: t.TempDir(), story: s}
	first, second := newSegment(t), newSegment(t)
	st.host = first.host(t, "a", "192.168.25.31")
	second.plug(t, st.host, "b", "ens192", "192.168.26.31")
	second.plug(t, st.host, "c", "ens224", "192.168.27.31")
	st.other = first.host(t, "d", "192.168.25.32")
	must(t, os.Chmod(filepath.Dir(st.dir), 0o755))
	write("n", "0")(st)
	return st
}

// waitStates waits until the instances have these states, for a second: a state that is only
// passed through is not meant.
func waitStates(t *testing.T, who, want string, state func(string) string) {
	t.Helper()
	var got string
	since := time.Time{}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = strings.TrimSpace(state("VI_1") + " " + state("VI_2"))
		switch {
		case got != want:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > time.Second:
			return
		}
	}
	t.Fatalf("%s: states %q, want %q", who, got, want)
}
