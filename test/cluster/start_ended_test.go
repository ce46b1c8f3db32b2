package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/netlnk/nstest"
	"weir/test/cpu"
)

// aStart is a first start of weir, of a file with a device of its own for VRRP.
type aStart struct {
	t         *testing.T
	space     *nstest.Namespace
	dir, pins string
	out       *shared
	cmd       *exec.Cmd
	free      func() // gives it all of a CPU
}

func newStart(t *testing.T, name string) *aStart {
	s := &aStart{t: t, space: nstest.New(t, name), dir: t.TempDir()}
	s.pins = filepath.Join("/sys/fs/bpf", s.space.Name)
	nstest.Veth(s.space, "eth0", nstest.New(t, name+"2"), "eth0")
	s.space.IP("address", "add", "192.0.2.3/24", "dev", "eth0")
	text := "vrrp_instance V {\n state MASTER\n interface eth0\n use_vmac\n virtual_router_id 7\n priority 100\n virtual_ipaddress {\n 192.0.2.1/24\n }\n}\n" +
		"virtual_server 192.0.2.1 80 {\n protocol TCP\n real_server 192.0.2.2 80 {\n }\n}\n"
	if err := os.WriteFile(filepath.Join(s.dir, "keepalived.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd != nil && s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
		s.stop()
		if t.Failed() {
			t.Logf("log:\n%s", s.out)
		}
	})
	return s
}

// begin starts weir, with so many percent of a CPU unless that is 0, and waits until it is
// somewhere.
func (s *aStart) begin(percent int, where string, there func() bool) {
	s.t.Helper()
	s.out = new(shared)
	s.cmd = exec.Command(executable, "run", "-f", filepath.Join(s.dir, "keepalived.conf"), "--run-dir", filepath.Join(s.dir, "run"), "--pin-dir", s.pins)
	s.free = func() {}
	if percent > 0 {
		s.free = cpu.Slow(s.t, s.cmd, percent)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	var err error
	s.space.Do(func() { err = s.cmd.Start() })
	if err != nil {
		s.t.Fatal(err)
	}
	nstest.WaitFor(s.t, where, there)
}

// end sends signals, and waits for the end.
func (s *aStart) end(signals ...syscall.Signal) error {
	s.t.Helper()
	for _, sig := range signals {
		if err := s.cmd.Process.Signal(sig); err != nil {
			s.t.Fatal(err)
		}
	}
	s.free() // what the kernel still does for it, such as verifying a program, is not to take seconds
	return s.cmd.Wait()
}

// stop has nothing left of it.
func (s *aStart) stop() {
	var out []byte
	var err error
	s.space.Do(func() {
		out, err = exec.Command(executable, "stop", "--run-dir", filepath.Join(s.dir, "run"), "--pin-dir", s.pins, "--remove").CombinedOutput()
	})
	if err != nil {
		s.t.Errorf("weir stop --remove: %v\n%s", err, out)
	}
}

// pinned counts the pins whose names begin so.
func (s *aStart) pinned(prefixes ...string) (n int) {
	entries, _ := os.ReadDir(s.pins)
	for _, e := range entries {
		for _, prefix := range prefixes {
			if strings.HasPrefix(e.Name(), prefix) {
				n++
			}
		}
	}
	return n
}

// left is what is left of weir, in words.
func (s *aStart) left() string {
	s.t.Helper()
	var left []string
	if entries, err := os.ReadDir(s.pins); err == nil {
		left = append(left, fmt.Sprintf("%s with %d pins", s.pins, len(entries)))
	}
	if links := s.space.IP("-o", "link", "show", "type", "macvlan"); links != "" {
		left = append(left, links)
	}
	if addrs := s.space.IP("-o", "address", "show", "to", "192.0.2.1"); addrs != "" {
		left = append(left, addrs)
	}
	s.space.Do(func() {
		for _, device := range []string{"lo", "eth0"} {
			d, err := net.InterfaceByName(device)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, where := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress, ebpf.AttachXDP} {
				at, err := link.QueryPrograms(link.QueryOptions{Target: d.Index, Attach: where})
				if err == nil && len(at.Programs) > 0 {
					left = append(left, fmt.Sprintf("%d programs at %s of %s", len(at.Programs), where, device))
				}
			}
		}
	})
	return strings.Join(left, "; ")
}

// A first start takes as long as the kernel takes to verify programs: many seconds on a slow
// machine. Whenever it is told to end, it ends at once and in order, and nothing is left.
// What one leaves that is killed, the next one takes away, whether it stands in the end or not.
func TestStartThatIsToldToEnd(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		name  string
		there func(*aStart) bool
		more  bool // by other signals, too
	}{
		{"it begins", func(s *aStart) bool { return s.out.String() != "" }, false},
		{"tables are made", func(s *aStart) bool { return s.pinned("") > 5 }, false},
		{"programs are verified", func(s *aStart) bool { return s.pinned("vips") > 0 }, true},
		{"the first program is attached", func(s *aStart) bool { return s.pinned("ingress_", "egress_", "behind_") > 0 }, true},
		{"the programs of the device are attached", func(s *aStart) bool { return s.pinned("ingress_") > 0 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const percent = 10
			t.Run("SIGTERM", func(t *testing.T) {
				t.Parallel()
				s := newStart(t, fmt.Sprint("toldend", i))
				s.begin(percent, tt.name, func() bool { return tt.there(s) })
				if err := s.end(syscall.SIGTERM); err != nil {
					t.Errorf("it ended with %v", err)
				}
				// Only the last of these places is so near that it may stand before the signal comes.
				if strings.HasPrefix(tt.name, "the programs of the device") && strings.Contains(s.out.String(), "msg=started") {
					t.Log("it stood before it was told to end, and has left its data plane for the next one")
				} else if left := s.left(); left != "" {
					t.Errorf("left: %s", left)
				}
			})
			if !tt.more {
				return
			}
			t.Run("SIGTERM twice", func(t *testing.T) {
				t.Parallel()
				s := newStart(t, fmt.Sprint("toldtwice", i))
				s.begin(percent, tt.name, func() bool { return tt.there(s) })
				// It may end before it is told to end for the second time.
				if err := s.end(syscall.SIGTERM, syscall.SIGTERM); err != nil && s.cmd.ProcessState.ExitCode() != 1 {
					t.Errorf("it ended with %v", err)
				}
				if left := s.left(); left != "" {
					t.Errorf("left: %s", left)
				}
			})
			t.Run("SIGKILL", func(t *testing.T) {
				t.Parallel()
				s := newStart(t, fmt.Sprint("killed", i))
				s.begin(percent, tt.name, func() bool { return tt.there(s) })
				_ = s.end(syscall.SIGKILL)
				some := s.pinned("") > 1
				s.begin(percent, "another start loads its programs", func() bool {
					return (!some || strings.Contains(s.out.String(), "an earlier start was cut off")) && s.pinned("vips") > 0
				})
				if err := s.end(syscall.SIGTERM); err != nil {
					t.Errorf("the next one ended with %v", err)
				}
				if left := s.left(); left != "" {
					t.Errorf("left by the one after SIGKILL: %s", left)
				}
			})
		})
	}
	t.Run("SIGKILL, and a start that stands", func(t *testing.T) {
		t.Parallel()
		s := newStart(t, "stands")
		s.begin(10, "the first program is attached", func() bool { return s.pinned("ingress_", "egress_", "behind_") > 0 })
		_ = s.end(syscall.SIGKILL)
		s.begin(0, "it stands", func() bool { return strings.Contains(s.out.String(), "msg=started") })
		if !strings.Contains(s.out.String(), "an earlier start was cut off") {
			t.Error("it does not say what it has taken away")
		}
		if _, err := os.Stat(filepath.Join(s.pins, "unfinished")); err == nil {
			t.Error("what stands is marked as unfinished")
		}
		_ = s.end(syscall.SIGKILL)
		s.begin(0, "the next one takes it up", func() bool { return strings.Contains(s.out.String(), "msg=started") })
		if strings.Contains(s.out.String(), "cut off") {
			t.Error("what stood was taken away")
		}
		_ = s.end(syscall.SIGTERM)
	})
}
