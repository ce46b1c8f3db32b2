package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
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
	short bool // it is told in short runs, too
	whole bool // weir's part is played by the program itself
	// processes is a story of processes that keepalived is to hear of: PROCESS is the name of
	// those of the director's own.
	processes bool
	ours      []string // weir's states of VI_1, where they are others on purpose
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
	// running are the processes of begins, and process is their name, of the 15 bytes at most
	// that the kernel keeps.
	running []*exec.Cmd
	process string
}

// keepalived reads the states that keepalived's log tells of.
func (st *stage) keepalived(text string) (state func(string) string, of func(string) []string) {
	name := "keepalived"
	if st.story.processes {
		name = "keepalived outside"
	}
	return st.program(name, text, `(?i)\((VI_\d)\):? entering (\w+) state`)
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
	return d.states.state, d.states.of
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

// comesBack takes a static address away, and waits until it is there again.
func comesBack(device, address string) func(*stage) {
	return func(st *stage) {
		l, err := st.host.LinkByName(device)
		must(st.t, err)
		a, err := netlink.ParseAddr(address)
		must(st.t, err)
		has := func() bool {
			list, err := st.host.AddrList(l, netlink.FAMILY_V4)
			must(st.t, err)
			return slices.ContainsFunc(list, func(have netlink.Addr) bool { return have.IPNet.String() == a.IPNet.String() })
		}
		eventually(st.t, address+" is there", time.Minute, has)
		must(st.t, st.host.AddrDel(l, a))
		eventually(st.t, address+" is there again", time.Minute, has)
	}
}

// begins has one more process run, and oneEnds ends the one that has begun last.
func begins(st *stage) {
	path := filepath.Join(st.dir, st.process)
	if _, err := os.Stat(path); err != nil {
		sleep, err := exec.LookPath("sleep")
		must(st.t, err)
		text, err := os.ReadFile(sleep)
		must(st.t, err)
		must(st.t, os.WriteFile(path, text, 0o755))
	}
	cmd := exec.Command(path, "3600")
	must(st.t, cmd.Start())
	st.running = append(st.running, cmd)
}

func oneEnds(st *stage) {
	last := len(st.running) - 1
	must(st.t, st.running[last].Process.Kill())
	st.running[last].Wait() // it was killed
	st.running = st.running[:last]
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
	daemon     = "vrrp_track_process d {\nprocess PROCESS\n%s\n}\n"
	numberFile = "track_file n {\nfile DIR/n\n%s\n}\n"
)

// watching is a track_group of VI_1, and something of the machine's own that it watches.
func watching(static string) string { return "track_group g {\ngroup {\nVI_1\n}\n}\n" + static + "\n" }

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
	{name: "a process ends and begins", processes: true, conf: fmt.Sprintf(daemon, "weight 0") + instance(1, "ens160", 100, "track_process {\nd\n}"),
		steps: []step{{nothing, "FAULT"}, {begins, "MASTER"}, {oneEnds, "FAULT"}, {begins, "MASTER"}}},
	{name: "a process with a weight", processes: true, conf: fmt.Sprintf(daemon, "weight -20") + instance(1, "ens160", 100, "track_process {\nd\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {begins, "MASTER"}, {rivalStarts, "MASTER"}, {oneEnds, "BACKUP"}, {begins, "MASTER"}}},
	{name: "a process with a positive weight of the instance", processes: true, conf: fmt.Sprintf(daemon, "weight 0") + instance(1, "ens160", 80, "track_process {\nd weight 20\n}"), rival: instance(1, "ens160", 90, ""),
		steps: []step{{nothing, "MASTER"}, {begins, "MASTER"}, {rivalStarts, "MASTER"}, {oneEnds, "BACKUP"}, {begins, "MASTER"}}},
	{name: "processes with a quorum and delays", processes: true, conf: fmt.Sprintf(daemon, "weight 0\nquorum 2\nfork_delay 1\nterminate_delay 1") + instance(1, "ens160", 100, "track_process {\nd\n}"),
		steps: []step{{nothing, "FAULT"}, {begins, "FAULT"}, {begins, "MASTER"}, {oneEnds, "FAULT"}, {begins, "MASTER"}, {begins, "MASTER"}, {oneEnds, "MASTER"}, {oneEnds, "FAULT"}}},
	{name: "a process of which there are too many", processes: true, conf: fmt.Sprintf(daemon, "weight 0\nquorum 1\nquorum_max 1") + instance(1, "ens160", 100, "track_process {\nd\n}"),
		steps: []step{{nothing, "FAULT"}, {begins, "MASTER"}, {begins, "FAULT"}, {oneEnds, "MASTER"}}},
	{name: "a process that ends for a moment", processes: true, conf: fmt.Sprintf(daemon, "weight 0\nterminate_delay 20") + instance(1, "ens160", 100, "track_process {\nd\n}"),
		steps: []step{{nothing, "FAULT"}, {begins, "MASTER"}, {inTurn(oneEnds, begins), "MASTER"}, {waitFor(3 * time.Second), "MASTER"}}},
	{name: "a track_group and a static address", whole: true,
		conf:  watching("static_ipaddress {\n10.9.0.1/16 dev ens224 track_group g\n}") + twoOf(""),
		steps: []step{{nothing, "MASTER MASTER"}, {comesBack("ens224", "10.9.0.1/16"), "MASTER MASTER"}, {down("ens224"), "FAULT MASTER"}, {up("ens224"), "MASTER MASTER"}}},
	{name: "a track_group and a static route", whole: true,
		conf:  watching("static_routes {\n10.20.0.0/16 dev ens224 track_group g\n}") + instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {down("ens224"), "FAULT"}, {up("ens224"), "MASTER"}}},
	{name: "a track_group and a static rule", whole: true,
		conf:  watching("static_rules {\nfrom 10.21.0.0/16 iif ens224 table 100 priority 700 track_group g\n}") + instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {down("ens224"), "FAULT"}, {up("ens224"), "MASTER"}}},
	{name: "a track_group and what no_track leaves out", whole: true,
		conf:  watching("static_routes {\n10.20.0.0/16 dev ens224 no_track track_group g\n}") + instance(1, "ens160", 100, ""),
		steps: []step{{nothing, "MASTER"}, {down("ens224"), "MASTER"}, {waitFor(3 * time.Second), "MASTER"}}},
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
			weir, of := ours.weirOf(ours.text())
			keepalived, told := theirs.keepalived(theirs.text())
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

// text is the story's file for this machine.
func (st *stage) text() string {
	return strings.NewReplacer("DIR", st.dir, "PROCESS", st.process).Replace(st.story.conf)
}

// plain leaves out how an instance begins: keepalived says nothing of the time in which it
// waits for its scripts, which is FAULT here.
func plain(states []string) []string {
	for len(states) > 0 && (states[0] == "FAULT" || states[0] == "BACKUP") {
		states = states[1:]
	}
	return states
}

var stages atomic.Int32 // numbers the stages of this process

// newStage is a machine with three devices, and another one on its first segment.
func newStage(t *testing.T, s *story) *stage {
	t.Helper()
	st := &stage{t: t, dir: t.TempDir(), story: s, process: fmt.Sprintf("w%d-%d", os.Getpid(), stages.Add(1))}
	t.Cleanup(func() {
		for len(st.running) > 0 {
			oneEnds(st)
		}
	})
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
