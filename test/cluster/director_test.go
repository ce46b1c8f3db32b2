package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/lab"
)

// oneMAC gives the frames of all packets one source, whoever sends them, as clouds do.
const oneMAC = `table bridge cloud {
	chain post {
		type filter hook postrouting priority 0;
		ether type ip ether saddr set 12:34:56:78:9a:bc
	}
}
`

// nft gives a namespace these rules of nftables.
func nft(ns *lab.Namespace, rules string) error {
	return ns.Do(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, out)
		}
		return nil
	})
}

// Where all frames have one Ethernet address, a master serves clients after it has heard
// the other director by it, and no packet loops.
func TestOneEthernetAddressForAllMachines(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *lab.ClusterOptions) {
		o.Prepare = func(c *lab.Cluster) error { return nft(c.Switch(), oneMAC) }
	})
	mark := time.Now()
	c.must(c.node01.KillWeir())
	c.waitState(c.node02, mark, "master", 10*time.Second)
	c.waitVIP(c.node02)
	c.waitHeard(c.node02)
	c.waitAnswer()
	t.Run("the master's process killed for good", func(t *testing.T) { c.wantNoLoop(t, c.node02, c.node01) })
	mark = time.Now()
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	c.waitState(c.node01, mark, "master", 15*time.Second)
	c.waitHeard(c.node01)
	t.Run("both have heard each other", func(t *testing.T) { c.wantNoLoop(t, c.node01, c.node02) })
}

// behindConfig is a director of two, with one real server.
const behindConfig = `
vrrp_instance VI_1 {
    interface ens160
    virtual_router_id 51
    priority %d
    advert_int 1
    virtual_ipaddress {
        192.168.25.100
    }
}
virtual_server 192.168.25.100 80 {
    delay_loop 6
    lb_algo rr
    lb_kind %s
    protocol TCP
%s}
`

// realServers are those of a configuration.
func realServers(addrs ...string) (text string) {
	for _, addr := range addrs {
		text += "    real_server " + addr + " 80 {\n    }\n"
	}
	return text
}

// behind builds two directors, a server, and "far", a machine of 10.66.0.0/24 for which
// node02 routes (router is its address there).
func behind(t *testing.T, kind string, servers ...string) (*cluster, *lab.Namespace) {
	t.Helper()
	kept := []string{"start", "--vip", "192.168.25.100", "--state", filepath.Join(t.TempDir(), "realserver.json")}
	if kind == "NAT" {
		kept = nil
	}
	opts := lab.ClusterOptions{
		Options: lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: fmt.Sprintf(behindConfig, 100, kind, realServers(servers...))},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Config: fmt.Sprintf(behindConfig, 90, kind, realServers(servers...))},
			{Name: "node03", Addr: netip.MustParsePrefix("192.168.25.33/24"), Web: "node03 service", RealServer: kept},
		},
	}
	var far *lab.Namespace
	opts.Prepare = func(c *lab.Cluster) (err error) {
		router := c.Node("node02").Namespace()
		if far, err = c.AddNamespace("far", false); err != nil {
			return err
		}
		inner, outer := lab.LinkEnd{Namespace: far, Name: "eth0"}, lab.LinkEnd{Namespace: router, Name: "far0"}
		if err := lab.Connect(inner, outer); err != nil {
			return err
		}
		return errors.Join(
			far.AddAddr("eth0", netip.MustParsePrefix("10.66.0.5/24")), far.SetUp("eth0"),
			router.AddAddr("far0", netip.MustParsePrefix("10.66.0.1/24")), router.SetUp("far0"),
			router.Sysctl("ipv4/ip_forward", "1"),
			// By direct routing, answers of the others come to the router from an address that
			// it has as well. Linux routes them only then.
			router.Sysctl("ipv4/conf/all/accept_local", "1"),
			far.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.66.0.1")),
		)
	}
	c := build(t, opts)
	return c, far
}

// takeOverAndBack has node02 be master for a moment, so that both have heard each other.
func (c *cluster) takeOverAndBack() {
	c.t.Helper()
	mark := time.Now()
	c.must(c.Switch().SetDown("node01"))
	c.waitState(c.node02, mark, "master", 10*time.Second)
	mark = time.Now()
	c.must(c.Switch().SetUp("node01"))
	c.waitState(c.node01, mark, "master", 10*time.Second)
	c.waitState(c.node02, mark, "backup", 10*time.Second)
	c.waitNoVIP(c.node02)
	c.waitHeard(c.node01)
}

// A standby, and a machine that it routes for, are clients of the master like any other,
// before and after the master has heard it.
func TestStandbyAsClient(t *testing.T) {
	for _, kind := range []string{"DR", "NAT"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c, far := behind(t, kind, "192.168.25.33")
			network := netip.MustParsePrefix("10.66.0.0/24")
			c.must(c.node01.Namespace().AddRoute(network, netip.MustParseAddr("192.168.25.32")))
			answers := c.Node("node03").Namespace()
			if kind == "DR" {
				c.must(answers.AddRoute(network, netip.MustParseAddr("192.168.25.32")))
			} else {
				for _, to := range []string{"10.66.0.0/24", "192.168.25.10/32", "192.168.25.32/32"} {
					c.must(answers.AddRoute(netip.MustParsePrefix(to), netip.MustParseAddr("192.168.25.31")))
				}
			}
			c.must(c.Start(c.within(2 * time.Minute)))
			c.waitState(c.node01, time.Time{}, "master", 10*time.Second)
			c.waitAnswer()
			asked := func(when string) {
				for name, ns := range map[string]*lab.Namespace{"a client": c.Client(), "the standby": c.node02.Namespace(), "a machine behind it": far} {
					if st := lab.Requests(c.within(30*time.Second), ns, "192.168.25.100:80", 20); st.Failures() > 0 {
						t.Errorf("%s, %s: %s", when, name, st)
					}
				}
			}
			asked("before the master has heard the standby")
			c.takeOverAndBack()
			asked("after it was master")
		})
	}
}

// The standby is the router of the clients, and both directors are real servers: clients
// are served by either as master, and packets that one forwards to the other go no
// further, though the route back to their source leads by the forwarding director.
func TestDirectorAsGateway(t *testing.T) {
	t.Parallel()
	c, far := behind(t, "DR", "192.168.25.31", "192.168.25.32", "192.168.25.33")
	for _, n := range []string{"node01", "node03"} {
		c.must(c.Node(n).Namespace().AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.168.25.32")))
	}
	for _, n := range []*lab.Node{c.node01, c.node02} {
		n.Spec.Web = n.Spec.Name + " service"
	}
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, "master", 10*time.Second)
	c.waitAnswer()
	c.takeOverAndBack()
	ask := func(master *lab.Node) {
		t.Helper()
		nodes := []string{"node01", "node02", "node03"}
		before := map[string]lab.Counters{}
		for _, n := range nodes {
			counters, err := c.Counters(n, "ens160")
			c.must(err)
			before[n] = counters
		}
		begun := time.Now()
		st := lab.Requests(c.within(60*time.Second), far, "192.168.25.100:80", 300)
		noise := backgroundOnce + uint64(backgroundPerSecond*time.Since(begun).Seconds())
		if st.Failures() > 0 {
			t.Errorf("%s is master: %s", master.Spec.Name, st)
		}
		// A request has some six packets each way, and passes each machine at most twice.
		for _, n := range nodes {
			counters, err := c.Counters(n, "ens160")
			c.must(err)
			if in := counters.RxPackets - before[n].RxPackets; in > 300*24+noise {
				t.Errorf("%s is master: %d packets came to %s for 300 requests", master.Spec.Name, in, n)
			}
		}
		t.Logf("%s is master: %s", master.Spec.Name, st)
	}
	ask(c.node01)
	mark := time.Now()
	c.must(c.node01.KillWeir())
	c.waitState(c.node02, mark, "master", 10*time.Second)
	c.waitVIP(c.node02)
	ctx := c.within(10 * time.Second)
	for lab.Requests(ctx, far, "192.168.25.100:80", 1).Failures() > 0 {
		if ctx.Err() != nil {
			t.Fatalf("no request was answered: %v", context.Cause(ctx))
		}
	}
	ask(c.node02)
}
