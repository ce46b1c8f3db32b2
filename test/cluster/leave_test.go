package cluster

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
)

// shared is the output of a process, to be read while it runs.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// A first start that is told to end before it serves anybody leaves nothing pinned.
func TestStartThatIsToldToEnd(t *testing.T) {
	t.Parallel()
	ns, dir := nstest.New(t, "toldend"), t.TempDir()
	pins := filepath.Join("/sys/fs/bpf", "weirt-"+filepath.Base(dir)+"-end")
	t.Cleanup(func() { os.RemoveAll(pins) })
	nstest.Veth(ns, "eth0", nstest.New(t, "toldend2"), "eth0")
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte("virtual_server 192.0.2.1 80 {\n    protocol TCP\n    real_server 192.0.2.2 80 {\n    }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out shared
	cmd := exec.CommandContext(t.Context(), executable, "run", "-f", file, "--run-dir", filepath.Join(dir, "run"), "--pin-dir", pins)
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	ns.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	nstest.WaitFor(t, "it begins", func() bool { return out.String() != "" })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, out.String())
	}
	if _, err := os.Stat(pins); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", pins, err)
	}
}

// Where the process that keeps masterships for a restart cannot be started, here because
// another one has its socket, SIGTERM hands over to the standby at once: no VIP stays behind.
func TestMastershipsThatNobodyCanKeep(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.must(c.node01.Namespace().Do(func() error {
		taken, err := net.Listen("unix", fmt.Sprintf("@weir-keep-%x", sha256.Sum256([]byte(c.node01.PinDir())))[:44])
		if err == nil {
			t.Cleanup(func() { taken.Close() })
		}
		return err
	}))
	c.waitState(c.node02, time.Time{}, "backup", 15*time.Second)
	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()
	begun := time.Now()
	c.must(c.node01.TerminateWeir(c.within(10 * time.Second)))
	c.waitState(c.node02, begun, "master", 10*time.Second)
	c.waitHeard(c.node02)
	c.waitNoVIP(c.node01)
	stream.Settle()
	st := stream.Stats(begun, time.Now())
	c.wantAtMost("SIGTERM without a keeper: the clients' longest gap", st.LongestGap, 500*time.Millisecond)
}

// wrapped is a program that has a shell run a line for "weir run", and is weir for other verbs.
func wrapped(t *testing.T, run string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "weir")
	script := "#!/bin/bash\n[ \"$1\" = run ] && { " + run + "; }\nexec " + executable + " \"$@\"\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}
