// Package nstest gives tests network namespaces of their own. They are named
// weirt-PID-NAME, and so are the folders in which tests pin BPF maps. What a process left
// behind that died before its cleanup is removed when the next test makes a namespace.
package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	prefix  = "weirt-"
	pinRoot = "/sys/fs/bpf/"
)

// Namespace is a network namespace that is deleted at the end of its test. Its methods
// fail the test on an error.
type Namespace struct {
	Name string
	t    testing.TB
}

// New makes a namespace with lo up. It is an error if maps are still pinned in the folder of its
// name at the end of the test.
func New(t testing.TB, name string) *Namespace {
	t.Helper()
	removeStale(t)
	n := &Namespace{Name: fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), name), t: t}
	run(t, "netns", "add", n.Name)
	t.Cleanup(func() {
		run(t, "netns", "del", n.Name)
		if _, err := os.Stat(pinRoot + n.Name); err == nil {
			t.Errorf("the test has left %s%s", pinRoot, n.Name)
		}
	})
	n.IP("link", "set", "lo", "up")
	return n
}

// IP runs "ip ARGS" in the namespace and returns what it printed.
func (n *Namespace) IP(args ...string) string {
	n.t.Helper()
	out := run(n.t, append([]string{"-n", n.Name}, args...)...)
	n.settle(args)
	return out
}

// Batch runs several commands of ip by one process, which is faster; each is one line
// without "ip".
func (n *Namespace) Batch(commands ...string) {
	n.t.Helper()
	cmd := exec.Command("ip", "-n", n.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("ip -batch: %v\n%s\n%s", err, strings.Join(commands, "\n"), out)
	}
	for _, command := range commands {
		n.settle(strings.Fields(command))
	}
}

// settle waits until the kernel has put an IPv6 address into its table of local addresses after
// "ip addr add ADDRESS dev DEVICE nodad": it does so some time after the command has ended
// (net/ipv6/addrconf.c, addrconf_dad_work). A device without a carrier gets none.
func (n *Namespace) settle(args []string) {
	n.t.Helper()
	if len(args) < 6 || !strings.HasPrefix(args[0], "a") || args[1] != "add" || args[3] != "dev" || !slices.Contains(args, "nodad") {
		return
	}
	address, _, _ := strings.Cut(args[2], "/")
	if !strings.Contains(address, ":") || !strings.Contains(run(n.t, "-n", n.Name, "link", "show", "dev", args[4]), "LOWER_UP") {
		return
	}
	WaitFor(n.t, address+" among the local addresses of "+n.Name, func() bool {
		return run(n.t, "-n", n.Name, "-6", "route", "show", "table", "local", address) != ""
	})
}

// Do runs fn on this goroutine with its thread in the namespace. Goroutines that fn
// starts are not in the namespace.
func (n *Namespace) Do(fn func()) {
	n.t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		n.t.Fatalf("this thread's network namespace: %v", err)
	}
	defer home.Close()
	there, err := netns.GetFromName(n.Name)
	if err != nil {
		n.t.Fatalf("network namespace %s: %v", n.Name, err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		n.t.Fatalf("enter %s: %v", n.Name, err)
	}
	defer func() {
		// A thread that cannot return stays locked and ends with its goroutine.
		if err := netns.Set(home); err != nil {
			n.t.Errorf("leave %s: %v", n.Name, err)
			return
		}
		runtime.UnlockOSThread()
	}()
	fn()
}

// Veth connects two namespaces by a veth pair; its ends get these names and are up.
func Veth(a *Namespace, devA string, b *Namespace, devB string) {
	a.t.Helper()
	a.IP("link", "add", devA, "type", "veth", "peer", "name", devB, "netns", b.Name)
	a.IP("link", "set", devA, "up")
	b.IP("link", "set", devB, "up")
}

// WaitFor polls until the condition holds. After 2 minutes, which no machine is late by, it
// fails the test and names what was waited for.
func WaitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 2 minutes in vain: %s", what)
		}
		<-tick.C
	}
}

// removeStale deletes the namespaces, and the pinned data planes, of test
// processes that are gone.
func removeStale(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(run(t, "netns", "list")) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if stale(name) {
			// Another test process may be removing it at the same moment.
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
	pins, err := filepath.Glob(pinRoot + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range pins {
		if stale(filepath.Base(dir)) {
			_ = os.RemoveAll(dir) // see above
		}
	}
}

// stale says whether a name belongs to a test process that has ended.
func stale(name string) bool {
	rest, ours := strings.CutPrefix(name, prefix)
	id, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(id)
	return ours && err == nil && unix.Kill(pid, 0) == unix.ESRCH
}

func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
