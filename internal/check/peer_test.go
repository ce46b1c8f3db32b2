package check_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/check"
	"weir/internal/netlnk/nstest"
)

// The times of a check whose server goes and comes back in a test.
const (
	loop    = 100 * time.Millisecond
	apart   = 50 * time.Millisecond
	retries = 2
	timeout = time.Second
)

// pair is a director and a real server, each in a namespace of its own, with addresses of
// both families.
type pair struct{ director, server *nstest.Namespace }

const (
	directorIP, serverIP   = "192.168.25.31", "192.168.25.32"
	directorIP6, serverIP6 = "fd25::31", "fd25::32"
)

var pairs atomic.Int32

func newPair(t *testing.T) pair {
	t.Helper()
	n := pairs.Add(1) // of tests that run beside each other
	p := pair{nstest.New(t, fmt.Sprint("director", n)), nstest.New(t, fmt.Sprint("server", n))}
	nstest.Veth(p.director, "ens160", p.server, "ens160")
	p.director.Batch("address add "+directorIP+"/24 dev ens160", "address add "+directorIP6+"/64 dev ens160 nodad")
	p.server.Batch("address add "+serverIP+"/24 dev ens160", "address add "+serverIP6+"/64 dev ens160 nodad")
	// The kernel refuses a datagram by ICMP only so often a second, and these checks ask more often.
	sysctl(t, p.server, "ipv4/icmp_ratelimit", "0")
	sysctl(t, p.server, "ipv6/icmp/ratelimit", "0")
	return p
}

// watch is a Runner that checks a server of a pair from its director.
type watch struct {
	t        *testing.T
	verdicts chan check.Verdict
	changed  time.Time // when the server changed last
}

// watch begins with the server down.
func (p pair) watch(t *testing.T, c check.Checker) *watch {
	t.Helper()
	w := &watch{t: t, verdicts: make(chan check.Verdict, 8)}
	r := check.Runner{
		Checker: inside{c, p.director}, Timing: check.Timing{DelayLoop: loop, Retry: retries, DelayBeforeRetry: apart, Alpha: true},
		Report: func(v check.Verdict) { w.verdicts <- v }, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return w
}

// inside is a checker that asks from a namespace.
type inside struct {
	check.Checker
	ns *nstest.Namespace
}

func (c inside) Check(ctx context.Context) (w check.Weight, err error) {
	c.ns.Do(func() { w, err = c.Checker.Check(ctx) })
	return w, err
}

func (c inside) Pace(up bool, t check.Timing, wait time.Duration) time.Duration {
	if paced, ok := c.Checker.(check.Paced); ok {
		return paced.Pace(up, t, wait)
	}
	return wait
}

// change does something to the server.
func (w *watch) change(do func()) {
	w.changed = time.Now()
	do()
}

// up waits for the verdict that the server is up.
func (w *watch) up() {
	w.t.Helper()
	if v := w.next(); !v.Up {
		w.t.Fatalf("down, %v; want up", v.Reason)
	}
}

// down waits for the verdict that the server is down, with a reason that begins so, after
// all tries.
func (w *watch) down(reason string) {
	w.t.Helper()
	v := w.next()
	if v.Up || !strings.HasPrefix(v.Reason.Error(), reason) || v.Tries != retries+1 {
		w.t.Fatalf("%+v, want down after %d tries: %s", v, retries+1, reason)
	}
	if took := v.At.Sub(w.changed); took < retries*apart {
		w.t.Errorf("down after %v, want no earlier than its retries, %v", took, retries*apart)
	}
}

func (w *watch) next() check.Verdict {
	w.t.Helper()
	select {
	case v := <-w.verdicts:
		return v
	case <-time.After(time.Minute): // no machine is late by so much
		w.t.Fatal("no verdict")
		panic("unreachable")
	}
}

// sysctl sets a value of /proc/sys/net in a namespace.
func sysctl(t *testing.T, n *nstest.Namespace, name, value string) {
	t.Helper()
	n.Do(func() { writeSysctl(t, name, value) })
}

// program is a server of Debian's that a test starts and stops.
type program struct {
	t   *testing.T
	run func() *exec.Cmd
	cmd *exec.Cmd
	out string // the file of what it prints
}

// serve starts a program in the server's namespace, and ends it with the test.
func (p pair) serve(t *testing.T, command ...string) *program {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Fatalf("%v: install it (make peers)", err)
	}
	s := &program{t: t, out: filepath.Join(t.TempDir(), "out"), run: func() *exec.Cmd {
		return exec.Command("ip", append([]string{"netns", "exec", p.server.Name}, command...)...)
	}}
	s.start()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			printed, _ := os.ReadFile(s.out)
			t.Logf("%v printed:\n%s", command, printed)
		}
	})
	return s
}

func (s *program) start() {
	s.t.Helper()
	out, err := os.OpenFile(s.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = s.run()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// pause has the program do nothing any more; the kernel still takes its connections.
func (s *program) pause() {
	s.t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends the program and what it has started, as a crash does.
func (s *program) stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	_ = s.cmd.Wait()
	s.cmd = nil
}

// write makes a file that everybody may read, and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// lines are those of a file.
func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// openssl runs in a folder.
func openssl(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}
