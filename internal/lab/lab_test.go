package lab

import (
	"bufio"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// testClusterOptions describe a cluster of web servers at 10.9.0.1 and on.
func testClusterOptions(nodes ...string) ClusterOptions {
	opts := ClusterOptions{
		Client: netip.MustParsePrefix("10.9.0.200/24"),
		Target: netip.MustParseAddrPort("10.9.0.100:80"),
	}
	addr := netip.MustParseAddr("10.9.0.1")
	for _, name := range nodes {
		opts.Nodes = append(opts.Nodes, NodeSpec{Name: name, Addr: netip.PrefixFrom(addr, 24), Web: name + " service"})
		addr = addr.Next()
	}
	return opts
}

// newTestCluster builds and starts a cluster, and after the test removes it
// and holds it to leaving nothing behind.
func newTestCluster(t *testing.T, nodes ...string) *Cluster {
	t.Helper()
	c, err := NewCluster(testClusterOptions(nodes...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		assertNothingLeft(t, c.ID)
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func assertNothingLeft(t *testing.T, id string) {
	t.Helper()
	for _, pattern := range []string{
		filepath.Join(netnsDir, namespacePrefix(id)+"*"), pinRoot(id), filepath.Join(labsDir, id),
	} {
		left, err := filepath.Glob(pattern)
		if err != nil || len(left) > 0 {
			t.Errorf("lab %s left %v (%v)", id, left, err)
		}
	}
}

func TestNamespacesComeAndGo(t *testing.T) {
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ns, err := l.AddNamespace("node01", false)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(ns.Path(), &st); err != nil || st.Type != unix.NSFS_MAGIC {
		t.Fatalf("%s has type %#x (%v), want a mounted namespace", ns.Path(), st.Type, err)
	}
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var inside string
	err = ns.Do(func() error {
		inside, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	})
	if err != nil || inside == home {
		t.Errorf("inside Do the namespace is %s (%v), the test's own is %s", inside, err, home)
	}
	if back, err := os.Readlink("/proc/self/ns/net"); err != nil || back != home {
		t.Errorf("after Do the namespace is %s (%v), want %s", back, err, home)
	}
	id, err := ns.namespaceID()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.RemoveNamespace("node01"); err != nil {
		t.Fatal(err)
	}
	if err := probeID(id); err != unix.ENOENT {
		t.Errorf("the kernel says %v of a removed namespace, want %v", err, unix.ENOENT)
	}
	if _, err := l.AddNamespace("node01", false); err != nil {
		t.Errorf("the name cannot be used again: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	assertNothingLeft(t, l.ID)
}

// A process inside the namespace that the lab did not start goes with it.
func TestStrangerInNamespaceIsKilled(t *testing.T) {
	c := newTestCluster(t, "node01")
	node := c.Node("node01")
	cmd := exec.Command("sleep", "3600")
	if err := node.Namespace().Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Errorf("process %d outlived its namespace", cmd.Process.Pid)
		cmd.Process.Kill()
	}
}

// Two labs with the same addresses live beside each other.
func TestLabsInParallel(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestCluster(t, "node01", "node02")
			for i, node := range c.Nodes() {
				got := Requests(t.Context(), c.Client(), node.Service(), 20+i)
				want := map[string]int{node.Spec.Web: 20 + i}
				if diff := cmp.Diff(want, got.By); diff != "" || got.Failures() != 0 {
					t.Errorf("%s: answers (-want +got):\n%s\n%s", node.Spec.Name, diff, got)
				}
				count, err := node.WebCount(t.Context())
				if err != nil || count != 20+i {
					t.Errorf("%s says that it answered %d requests (%v), the client counted %d", node.Spec.Name, count, err, 20+i)
				}
			}
		})
	}
}

// orphan starts this program as a lab's owner and returns the lab's id.
func orphan(t *testing.T, how string) (id string, owner *exec.Cmd) {
	t.Helper()
	owner = exec.Command("/proc/self/exe", orphanMode, how)
	owner.Stderr = os.Stderr
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		owner.Process.Kill()
		owner.Wait()
		removeLab(id)
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner said no id: %v", err)
	}
	return strings.TrimSpace(line), owner
}

func stateOf(t *testing.T, id string) State {
	t.Helper()
	found, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.ID == id {
			return f.State
		}
	}
	return "gone"
}

func TestOwnerKilled(t *testing.T) {
	id, owner := orphan(t, "dies")
	pids, err := os.ReadFile(filepath.Join(labsDir, id, childrenFile))
	if err != nil || len(pids) == 0 {
		t.Fatalf("children of the lab: %q, %v", pids, err)
	}
	newLabLeaves(t, id, Alive)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	if got := stateOf(t, id); got != Left && got != "gone" {
		t.Errorf("after the owner's death the lab is %s, want %s", got, Left)
	}
	newLabLeaves(t, id, "gone")
	assertNothingLeft(t, id)
}

func TestKeptLab(t *testing.T) {
	id, owner := orphan(t, "kept")
	if err := owner.Wait(); err != nil {
		t.Fatal(err)
	}
	newLabLeaves(t, id, Kept)
	assertWebAnswers(t, id)
	unlock, err := lockLabs()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	// What Down does, for this lab alone: others on this machine stay.
	_, _, err = removeWhere(discardLogger(), func(f Found) bool { return f.ID == id && f.State != Alive })
	if err != nil {
		t.Error(err)
	}
	assertNothingLeft(t, id)
}

// newLabLeaves starts and ends a lab, and expects another one's state then.
func newLabLeaves(t *testing.T, id string, want State) {
	t.Helper()
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, id); got != want {
		t.Errorf("after another lab's start the lab is %s, want %s", got, want)
	}
}

// assertWebAnswers asks the kept cluster's web server from its client.
func assertWebAnswers(t *testing.T, id string) {
	t.Helper()
	client, err := openNamespace(namespacePrefix(id) + clientNode)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	if got := Requests(t.Context(), client, "10.9.0.1:80", 1); got.By["node01 service"] != 1 {
		t.Errorf("the kept web server: %s", got)
	}
}

func TestStartFailure(t *testing.T) {
	c := newTestCluster(t, "node01")
	node := c.Node("node01")
	if err := node.StartWeb(t.Context()); err == nil || !strings.Contains(err.Error(), "it runs already") {
		t.Errorf("a second web server on the node: %v", err)
	}
	out, err := node.Exec(t.Context(), "lab", "web", "--name", "second")
	if err == nil || !strings.Contains(string(out), "address already in use") {
		t.Errorf("a program that fails: %v, it printed %q", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = node.WebLog.Wait(ctx, 0, node.Web(), "what never comes", func(Record) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "waited for what never comes") {
		t.Errorf("a wait that ends with its context: %v", err)
	}
	if err := node.Web().Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = node.WebLog.Wait(t.Context(), 0, node.Web(), "what never comes", func(Record) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "ended (signal: killed)") {
		t.Errorf("a wait for a program that was killed: %v", err)
	}
}
