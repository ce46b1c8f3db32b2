package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	model "weir/internal/cluster"
	"weir/internal/netlnk/nstest"
)

// spaced is a weir that is started outside the network namespace that its file names, with
// the default folders.
type spaced struct {
	t     *testing.T
	space *nstest.Namespace
	file  string
	vip   string
	cmd   *exec.Cmd
	log   bytes.Buffer // complete once the process has ended
}

func newSpaced(t *testing.T, name, vip string) *spaced {
	s := &spaced{t: t, space: nstest.New(t, name), file: filepath.Join(t.TempDir(), "keepalived.conf"), vip: vip}
	removeStaleSpaces()
	s.space.IP("link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
	s.space.IP("link", "set", "peer0", "up")
	s.space.IP("link", "set", "eth0", "up")
	s.space.IP("address", "add", "10.9.9.2/24", "dev", "eth0")
	text := fmt.Sprintf("net_namespace %s\nvrrp_instance V {\n  state MASTER\n  interface eth0\n  virtual_router_id 7\n  priority 100\n  advert_int 1\n  virtual_ipaddress {\n    %s/24\n  }\n}\n", s.space.Name, vip)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		s.weir("stop", "--net-namespace", s.space.Name, "--remove")
		os.RemoveAll(s.runDir())
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.space.Name, s.log.String())
		}
	})
	return s
}

// removeStaleSpaces removes the folders of namespaces that are gone: a test that was killed has
// left them.
func removeStaleSpaces() {
	for _, folders := range []string{"/run/weir-", "/sys/fs/bpf/weir-"} {
		all, _ := filepath.Glob(folders + "weirt-*")
		for _, folder := range all {
			if _, err := os.Stat("/run/netns/" + strings.TrimPrefix(folder, folders)); os.IsNotExist(err) {
				os.RemoveAll(folder)
			}
		}
	}
}

func (s *spaced) runDir() string { return "/run/weir-" + s.space.Name }
func (s *spaced) pinDir() string { return "/sys/fs/bpf/weir-" + s.space.Name }

// weir runs a verb outside the namespace, and returns what it printed.
func (s *spaced) weir(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, executable, args...).CombinedOutput()
	return string(out), err
}

// start starts weir, and waits until it is master by the socket that the other verbs ask.
func (s *spaced) start() {
	s.t.Helper()
	s.cmd = exec.Command(executable, "run", "-f", s.file)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	nstest.WaitFor(s.t, "master in "+s.space.Name, func() bool {
		view, err := api.NewClient(s.runDir()).Snapshot(s.t.Context())
		return err == nil && len(view.Instances) == 1 && view.Instances[0].State == model.Master && s.hasVIP()
	})
}

func (s *spaced) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *spaced) hasVIP() bool {
	return strings.Contains(s.space.IP("-4", "address", "show", "dev", "eth0"), s.vip+"/24")
}

// Two weirs whose files name network namespaces run there, both started from another one and
// with the default folders. A killed one is taken up by the next; "weir stop --remove" takes
// everything away.
func TestNetNamespace(t *testing.T) {
	t.Parallel()
	a, b := newSpaced(t, "space-a", "10.9.9.101"), newSpaced(t, "space-b", "10.9.9.102")
	a.start()
	b.start()
	here, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", a.cmd.Process.Pid)); err != nil || there == here {
		t.Errorf("the process that was started is in %s, %v: want the namespace that its file names", there, err)
	}
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.cmd.Process.Pid)); err != nil || !bytes.Contains(line, []byte(a.file)) {
		t.Errorf("its arguments are %q, %v", line, err)
	}
	a.kill()
	if !a.hasVIP() {
		t.Error("the killed weir's address has gone; want it left for the next one")
	}
	a.start()
	for _, s := range []*spaced{a, b} {
		out, err := s.weir("status", "--net-namespace", s.space.Name)
		if err != nil || !strings.Contains(out, s.vip) {
			t.Errorf("weir status: %v\n%s", err, out)
		}
		out, err = s.weir("stop", "--net-namespace", s.space.Name, "--remove")
		if err != nil || !strings.Contains(out, "weir has stopped.") || !strings.Contains(out, "pinned in "+s.pinDir()+" is taken away") {
			t.Errorf("weir stop --remove: %v\n%s", err, out)
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("weir run in %s: %v", s.space.Name, err)
		}
		s.cmd = nil
		if _, err := os.Stat(s.pinDir()); !os.IsNotExist(err) || s.hasVIP() {
			t.Errorf("left: the pins (%v), or the address (%v)", err, s.hasVIP())
		}
	}
}

// A network namespace is made a real server from outside, and has a state file of its own.
func TestRealServerInANetNamespace(t *testing.T) {
	t.Parallel()
	s := newSpaced(t, "rsspace", "10.9.9.100")
	const vip = "192.168.25.100"
	onLo := func() bool { return strings.Contains(s.space.IP("-o", "address", "show", "dev", "lo"), vip+"/32") }
	for _, tt := range []struct {
		args, out string
		fails, on bool
	}{
		{"status", "no virtual address has been started here", true, false},
		{"start --vip " + vip, vip + " is on lo, and this machine keeps silent about it\n", false, true},
		{"status", vip + " is on lo, and this machine keeps silent about it\n", false, true},
		{"stop", "stopped", false, false},
	} {
		out, err := s.weir(append([]string{"realserver"}, append(strings.Fields(tt.args), "--net-namespace", s.space.Name)...)...)
		if (err != nil) != tt.fails || !strings.Contains(out, tt.out) || onLo() != tt.on {
			t.Errorf("%s: %v, on lo: %t, printed\n%s", tt.args, err, onLo(), out)
		}
		if _, err := os.Stat(filepath.Join(s.runDir(), "realserver.json")); tt.on && err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
	}
	out, err := s.weir("realserver", "start", "--vip", vip, "--net-namespace", s.space.Name+"-gone")
	if want := "weir: net namespace " + s.space.Name + "-gone: there is no such network namespace"; err == nil || !strings.HasPrefix(out, want) {
		t.Errorf("a namespace that is not there: %v, printed\n%s", err, out)
	}
}

// A namespace that is not there is told with the place in the file and the remedy, and
// nothing is made.
func TestNetNamespaceThatIsNotThere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keepalived.conf")
	name := fmt.Sprintf("weirt-%d-gone", os.Getpid())
	if err := os.WriteFile(file, []byte("net_namespace "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(executable, "run", "-f", file).CombinedOutput()
	if want := file + ":1:15: net_namespace " + name + ": there is no such network namespace: make it by ip netns add " + name; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant an error with %s", err, out, want)
	}
	if _, err := os.Stat("/run/weir-" + name); !os.IsNotExist(err) {
		t.Errorf("the run folder was made (%v)", err)
	}
}
