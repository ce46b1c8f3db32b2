package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// life is what startup_script and shutdown_script do in the course of a director's life.
type life struct {
	name  string
	words string // of global_defs; DIR is a folder of the director's own
	want  string // what they have written, and the instance's program
	logs  string // a line of weir's log
	short bool
}

// lifeProgram writes its word, whether the VIP is there, and what else it was told to do.
const lifeProgram = `#!/bin/bash
vip=without
ip -o addr | grep -q 192.168.25.101 && vip=with
echo "$1 $vip the VIP, as $(id -u) $(id -g)" >>DIR/lived
eval "$2"
`

var lives = []life{
	{name: "both", words: "startup_script \"DIR/life begins\"\nshutdown_script \"DIR/life ends\"", short: true,
		want: "begins without the VIP, as 0 0\nmaster\nends without the VIP, as 0 0\n", logs: `msg="shutdown_script has succeeded"`},
	{name: "they fail", words: "startup_script \"DIR/life begins 'exit 3'\"\nshutdown_script \"DIR/life ends 'exit 4'\"",
		want: "begins without the VIP, as 0 0\nmaster\nends without the VIP, as 0 0\n", logs: `msg="startup_script has failed, weir goes on" .* code=3`},
	{name: "they hang", words: "startup_script \"DIR/life begins 'sleep 1000'\"\nshutdown_script \"DIR/life ends 'sleep 1000'\"\nstartup_script_timeout 1\nshutdown_script_timeout 1",
		want: "begins without the VIP, as 0 0\nmaster\nends without the VIP, as 0 0\n", logs: `msg="startup_script takes too long and was ended, weir goes on" .* timeout=1s`},
	{name: "there is none", words: "startup_script DIR/none\nshutdown_script \"DIR/life ends\"",
		want: "master\nends without the VIP, as 0 0\n", logs: `msg="startup_script cannot be run, weir goes on without it" .*no such file`},
}

// TestLifeScriptsLikeKeepalived wants weir and the real keepalived to run the same programs at the
// same points of their lives.
func TestLifeScriptsLikeKeepalived(t *testing.T) {
	t.Parallel()
	for _, l := range lives {
		if !l.short && !*all {
			continue
		}
		for _, name := range []string{"weir", "keepalived"} {
			t.Run(strings.ReplaceAll(l.name, " ", "-")+"/"+name, func(t *testing.T) {
				t.Parallel()
				m := newLiving(t, l.words)
				p := m.start(name)
				m.waitLived("master\n")
				if name == "keepalived" {
					p.stop()
				} else {
					m.weirStop(p)
					m.wantLogged(p, l.logs)
				}
				if got := m.lived(); got != l.want {
					t.Errorf("written %q, want %q", got, l.want)
				}
			})
		}
	}
}

// living is the machine of a director with such programs.
type living struct {
	t       *testing.T
	segment *segment
	host    *host
	dir     string
	text    string
}

func newLiving(t *testing.T, words string) *living {
	t.Helper()
	m := &living{t: t, segment: newSegment(t), dir: t.TempDir()}
	m.host = m.segment.host(t, "a", "192.168.25.31")
	must(t, os.Chmod(filepath.Dir(m.dir), 0o755))
	must(t, os.WriteFile(filepath.Join(m.dir, "life"), []byte(strings.ReplaceAll(lifeProgram, "DIR", m.dir)), 0o755))
	m.text = strings.ReplaceAll("global_defs {\nscript_user root\n"+words+"\n}\n"+
		instance(1, "ens160", 100, "notify_master \"/bin/sh -c 'echo master >>DIR/lived'\""), "DIR", m.dir)
	return m
}

// start starts the director.
func (m *living) start(name string) *program {
	m.t.Helper()
	text := m.text
	if name == "weir" {
		text = smallTables + text
	}
	return startProgram(m.t, m.host, name, text)
}

func (m *living) file(name string) string { return filepath.Join(m.dir, name) }

// lived is what the programs have written.
func (m *living) lived() string {
	text, err := os.ReadFile(m.file("lived"))
	if err != nil {
		return ""
	}
	return string(text)
}

// waitLived waits until the programs have written that, last of all.
func (m *living) waitLived(what string) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("written %q", what), starting, func() bool { return strings.HasSuffix(m.lived(), what) })
}

func (m *living) wantLogged(p *program, pattern string) {
	m.t.Helper()
	if !matches(p.log(m.t), pattern) {
		m.t.Errorf("the log has no line %s", pattern)
	}
}

// weirStop is "weir stop": it comes back when weir has ended.
func (m *living) weirStop(p *program) {
	m.t.Helper()
	out, err := exec.Command(executable, "stop", "--run-dir", p.dir, "--pin-dir", filepath.Join("/sys/fs/bpf", m.host.name)).CombinedOutput()
	if err != nil {
		m.t.Errorf("weir stop: %v\n%s", err, out)
	}
	eventually(m.t, "weir has ended", starting, p.ended)
}

// TestLifeScriptsKeepTheMastership: a restart with slow programs, longer than a keeper waits for the
// next process or a lease lasts, costs no mastership.
func TestLifeScriptsKeepTheMastership(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		signal unix.Signal
		short  bool
		want   string
	}{
		{"SIGTERM", unix.SIGTERM, true, "begins without\nmaster\nends with\nbegins with\n"},
		{"SIGKILL", unix.SIGKILL, false, "begins without\nmaster\nbegins with\n"},
	} {
		if !tt.short && !*all {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newLiving(t, "startup_script \"DIR/life begins 'test ! -e DIR/slow || sleep 4'\"\nshutdown_script \"DIR/life ends 'sleep 4'\"")
			p := m.start("weir")
			m.waitLived("master\n")
			standby := m.rival(90)
			must(t, os.WriteFile(m.file("slow"), nil, 0o644))
			gone := lost(t, m.host, m.vip())
			must(t, p.cmd.Process.Signal(tt.signal))
			<-p.done
			next := m.start("weir")
			eventually(t, "it goes on as master", starting, func() bool { return matches(next.log(t), `vrrp state changed.* to=MASTER`) })
			holdsFor(t, "it stays master", 4*time.Second, func() bool { return !gone() && standby() == 0 })
			if got := strings.NewReplacer(" the VIP, as 0 0", "").Replace(m.lived()); got != tt.want+"master\n" && got != tt.want {
				t.Errorf("written %q, want %q", got, tt.want)
			}
		})
	}
}

// TestShutdownScriptIsEnded: a second signal ends a program that hangs, and weir; without one the
// program may take its time.
func TestShutdownScriptIsEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, words string
		signals     int
		want, logs  string
		short       bool
	}{
		{"a second SIGTERM", "shutdown_script \"DIR/life ends 'sleep 1000'\"\nshutdown_script_timeout 1000", 2, "ends with\n", `msg="shutdown_script was ended, as weir was told to end"`, true},
		{"no second SIGTERM", "shutdown_script \"DIR/life ends 'sleep 7; echo and done >>DIR/lived'\"", 1, "ends with\nand done\n", `msg="shutdown_script has succeeded"`, false},
	} {
		if !tt.short && !*all {
			continue
		}
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			m := newLiving(t, tt.words)
			p := m.start("weir")
			m.waitLived("master\n")
			for range tt.signals {
				must(t, p.cmd.Process.Signal(unix.SIGTERM))
				m.waitLived("ends with the VIP, as 0 0\n")
			}
			eventually(t, "weir has ended", starting, p.ended)
			if got := strings.ReplaceAll(m.lived(), " the VIP, as 0 0", ""); got != "master\n"+tt.want {
				t.Errorf("written %q, want %q", got, "master\n"+tt.want)
			}
			m.wantLogged(p, tt.logs)
		})
	}
}

// TestStartupScriptIsEnded: a signal ends weir while its startup_script runs.
func TestStartupScriptIsEnded(t *testing.T) {
	t.Parallel()
	m := newLiving(t, "startup_script \"DIR/life begins 'sleep 1000'\"\nstartup_script_timeout 1000\nshutdown_script \"DIR/life ends\"")
	p := m.start("weir")
	m.waitLived("begins without the VIP, as 0 0\n")
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	eventually(t, "weir has ended", starting, p.ended)
	if got, want := m.lived(), "begins without the VIP, as 0 0\nends without the VIP, as 0 0\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

// TestLifeScriptsAreReloaded: a reload runs neither, and its shutdown_script is the one that counts.
func TestLifeScriptsAreReloaded(t *testing.T) {
	t.Parallel()
	m := newLiving(t, "startup_script \"DIR/life begins\" nobody\nshutdown_script \"DIR/life ends\"")
	must(t, os.WriteFile(m.file("lived"), nil, 0o666))
	must(t, os.Chmod(m.file("lived"), 0o666)) // nobody writes, too
	p := m.start("weir")
	m.waitLived("master\n")
	text := strings.NewReplacer("life begins", "life again", "life ends\"", "life parts\" nobody daemon").Replace(m.text)
	p.reload(t, smallTables+text)
	eventually(t, "the file is taken up", starting, func() bool { return matches(p.log(t), `msg=reloaded `) })
	m.weirStop(p)
	want := "begins without the VIP, as 65534 65534\nmaster\nparts without the VIP, as 65534 1\n"
	if got := m.lived(); got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

// vip is the instance's address.
func (m *living) vip() netip.Addr { return netip.MustParseAddr("192.168.25.101") }

// rival is another director of the segment; it counts how often it became master.
func (m *living) rival(priority uint8) (became func() uint64) {
	m.t.Helper()
	h := m.segment.host(m.t, "b", "192.168.25.32")
	cfg := vrrp.Config{Name: "VI_1", VRID: 51, Priority: priority, AdvertInterval: time.Second, VIPs: []netip.Addr{m.vip()}, Source: h.addr}
	w, _ := runWeir(m.t, h, cfg, vrrp.LinkConfig{Interface: "ens160", VRID: cfg.VRID, Source: h.addr}, m.vip())
	return func() uint64 { return w.Snapshot().Counters.BecameMaster }
}

func matches(text, pattern string) bool { return regexp.MustCompile(pattern).MatchString(text) }
