package cluster

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
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
