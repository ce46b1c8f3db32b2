// Package cluster tests whole clusters end to end: real weir processes, real
// web servers and real clients in network namespaces.
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
	"weir/test/binary"
)

// executable is the weir binary under test.
var executable string

func TestMain(m *testing.M) { binary.Main(m, &executable) }

// The bounds that follow from the seed's configuration (examples/seed), some with an
// allowance for a busy machine of two cores.
const (
	outBound      = 15 * time.Second                  // delay_loop 6 + 3 retries × 3
	silentBound   = 55 * time.Second                  // and 4 × connect_timeout 10
	backBound     = 6 * time.Second                   // delay_loop
	takeoverBound = 3648437500 + 200*time.Millisecond // 3 × advert_int + 166/256, seen by a client
	slack         = 500 * time.Millisecond
)

// cluster is the running cluster of the seed, with node01 as master.
type cluster struct {
	*lab.Cluster
	t              *testing.T
	node01, node02 *lab.Node
	late           *lateness
}

// build builds a cluster, whose machines run nothing yet.
func build(t *testing.T, opts lab.ClusterOptions) *cluster {
	t.Helper()
	built, err := lab.NewCluster(opts)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Cluster: built, t: t, node01: built.Node("node01"), node02: built.Node("node02"), late: watchLateness(t)}
	t.Cleanup(c.close)
	return c
}

// start builds the seed's cluster with edited configurations, and waits until node01 is
// master and a first request is answered.
func start(t *testing.T, edit func(*lab.ClusterOptions)) *cluster {
	t.Helper()
	opts, err := lab.SeedCluster(lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(&opts)
	}
	c := build(t, opts)
	if err := c.Start(c.within(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.waitState(c.node01, time.Time{}, "master", 10*time.Second)
	c.waitAnswer()
	return c
}

// close removes the cluster; where the test failed, it shows the nodes' logs.
func (c *cluster) close() {
	if c.t.Failed() {
		for _, n := range c.Nodes() {
			for _, line := range n.Log.Tail(40) {
				c.t.Logf("%s: %s", n.Spec.Name, line)
			}
		}
	}
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
}

// within is a context that ends the wait with the test, or after d, and a minute for a busy
// machine: what has to be sooner, wantAtMost judges by the times of events.
func (c *cluster) within(d time.Duration) context.Context {
	d += time.Minute
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), d, fmt.Errorf("not within %s", d))
	c.t.Cleanup(cancel)
	return ctx
}

// waitState waits until a node's director tells of a VRRP state, from a moment on,
// and says when.
func (c *cluster) waitState(n *lab.Node, from time.Time, state model.State, d time.Duration) time.Time {
	c.t.Helper()
	e, err := n.WaitFrom(c.within(d), from, "state "+string(state), lab.IsState(state))
	if err != nil {
		c.t.Fatal(err)
	}
	return e.Time
}

// waitServer waits until a director tells that another node's server is "down" or "up".
func (c *cluster) waitServer(director *lab.Node, from time.Time, server *lab.Node, state string, d time.Duration) time.Time {
	c.t.Helper()
	what := server.Service() + " " + state
	e, err := director.WaitFrom(c.within(d), from, what, lab.IsServer(server.Service(), state))
	if err != nil {
		c.t.Fatal(err)
	}
	return e.Time
}

// waitVIP waits until a machine has the VIP on its device.
func (c *cluster) waitVIP(n *lab.Node) {
	c.t.Helper()
	nstest.WaitFor(c.t, n.Spec.Name+" has the VIP", func() bool { return c.hasVIP(n) })
}

// waitNoVIP waits until a machine has given the VIP up: until then it answers its own
// requests to the VIP itself.
func (c *cluster) waitNoVIP(n *lab.Node) {
	c.t.Helper()
	nstest.WaitFor(c.t, n.Spec.Name+" gives the VIP up", func() bool { return !c.hasVIP(n) })
}

// hasVIP says whether a machine has the VIP on its device.
func (c *cluster) hasVIP(n *lab.Node) bool {
	c.t.Helper()
	addrs, err := n.Namespace().Addrs("ens160")
	c.must(err)
	return slices.Contains(addrs, netip.MustParsePrefix("192.168.25.100/32"))
}

// waitHeard waits until the client has this machine's MAC address for the VIP.
func (c *cluster) waitHeard(n *lab.Node) {
	c.t.Helper()
	own, err := n.Namespace().MAC("ens160")
	c.must(err)
	nstest.WaitFor(c.t, "the client hears that "+n.Spec.Name+" has the VIP", func() bool {
		heard, err := c.Client().Neighbour("ens160", netip.MustParseAddr("192.168.25.100"))
		c.must(err)
		return bytes.Equal(heard, own)
	})
}

// waitAnswer makes requests until one is answered.
func (c *cluster) waitAnswer() {
	c.t.Helper()
	ctx := c.within(time.Minute)
	for {
		if c.Requests(ctx, 1).Answered() == 1 {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("no request was answered: %v", context.Cause(ctx))
		}
	}
}

// wantSplit makes 300 requests and expects exactly these shares.
func (c *cluster) wantSplit(want1, want2 int) {
	c.t.Helper()
	st := c.Requests(c.within(60*time.Second), 300)
	got1, got2 := st.By[c.node01.Spec.Web], st.By[c.node02.Spec.Web]
	if got1 != want1 || got2 != want2 || st.Failures() != 0 {
		c.t.Errorf("300 requests: node01 %d, node02 %d, %s; want %d and %d, 0 failed",
			got1, got2, st.FailuresText(), want1, want2)
	}
}

// wantAtMost compares a measured time with its bound, and logs both. What the machine was
// late is not the bound's: see lateness.
func (c *cluster) wantAtMost(what string, took, bound time.Duration) {
	c.t.Helper()
	late := wakeUps * c.late.most()
	c.t.Logf("%s: %s (bound %s, and %s for the machine)", what, took.Round(time.Millisecond), bound, late.Round(time.Millisecond))
	if took > bound+late {
		c.t.Errorf("%s took %s, want at most %s, and %s for the machine", what, took, bound, late)
	}
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}
