package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

const (
	ownAddress6    = "2001:db8:25::31"
	serverAddress6 = "2001:db8:25::32"
)

// sourceConfig is a director with a service at an IPv6 VIP and one real server behind it,
// by direct routing. The instance has a second VIP, of the link's network, and a third one
// that may be the source of what the machine sends.
const sourceConfig = `vrrp_instance VI_1 {
    state MASTER
    interface ens160
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress {
        192.168.25.100
    }
    virtual_ipaddress_excluded {
        2001:db8:25::100/128
        2001:db8:25::101/64
        2001:db8:26::100/128 preferred_lft forever
    }
}
virtual_server 2001:db8:25::100 80 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 2001:db8:25::32 80 {
        TCP_CHECK {
            connect_timeout 1
        }
    }
}
`

// A master's IPv6 VIP is never the source of what the director itself sends: its real
// server, which has the VIP, too, answers the checks. Another program that makes the VIP
// preferred changes that for a moment only. keepalived deprecates VIPs of 128 bits, weir
// those of any length.
func TestIPv6VIPIsNoSource(t *testing.T) {
	t.Parallel()
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: executable}, IPv6: true,
		Client: netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: sourceConfig},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), RealServer: []string{"start", "--vip", "2001:db8:25::100", "--state", filepath.Join(t.TempDir(), "realserver.json")}},
		},
		Prepare: func(c *lab.Cluster) error {
			for name, p := range map[string]string{"node01": ownAddress6 + "/64", "node02": serverAddress6 + "/64"} {
				if err := c.Node(name).Namespace().AddAddr("ens160", netip.MustParsePrefix(p)); err != nil {
					return err
				}
			}
			return c.Client().AddAddr("ens160", netip.MustParsePrefix("2001:db8:25::10/64"))
		},
	})
	c.serve6(c.node02)
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, model.Master, 10*time.Second)
	c.waitConnect(10 * time.Second)
	if _, err := c.node01.Wait(c.within(10*time.Second), "the first check", lab.IsFirstCheck("["+serverAddress6+"]:80")); err != nil {
		t.Error(err)
	}
	c.wantSource(ownAddress6)
	if deprecated := c.deprecated(); deprecated != "2001:db8:25::100/128 2001:db8:25::101/64" {
		t.Errorf("deprecated are %q", deprecated)
	}
	for _, vip := range []string{"2001:db8:25::100/128", "2001:db8:25::101/64"} {
		mark := time.Now()
		c.must(ip("addr", "change", vip, "dev", "ens160", "preferred_lft", "forever", "nodad")(c.node01))
		e, err := c.node01.WaitFrom(c.within(10*time.Second), mark, "the repair of "+vip, isRepaired("vip_lifetimes"))
		c.must(err)
		c.wantAtMost("repaired after", e.Time.Sub(mark), repairBound+slack)
		c.wantSource(ownAddress6)
	}
	// A removed server would be so after two checks, with connect_timeout 1.
	time.Sleep(4 * time.Second)
	events, err := c.node01.Happened(c.within(5*time.Second), time.Time{})
	c.must(err)
	for _, e := range events {
		if lab.IsKind(model.RealServerDown)(e) {
			t.Errorf("the server was taken out: %s", lab.Line(e))
		}
	}
	c.waitConnect(5 * time.Second)
}

// serve6 accepts connections to port 80 of a node, over IPv6, too.
func (c *cluster) serve6(n *lab.Node) {
	c.t.Helper()
	var l net.Listener
	c.must(n.Namespace().Do(func() (err error) {
		l, err = net.Listen("tcp", "[::]:80")
		return err
	}))
	c.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// waitConnect connects from the client to the IPv6 VIP until that succeeds.
func (c *cluster) waitConnect(d time.Duration) {
	c.t.Helper()
	for ctx := c.within(d); ; time.Sleep(20 * time.Millisecond) {
		err := c.Client().Do(func() error {
			conn, err := net.DialTimeout("tcp6", "[2001:db8:25::100]:80", time.Second)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("the VIP cannot be connected to: %v", err)
		}
	}
}

// wantSource wants this address as the source of what node01 sends to the real server.
func (c *cluster) wantSource(want string) {
	c.t.Helper()
	out, err := exec.Command("ip", "-n", c.node01.Namespace().Name, "-6", "route", "get", serverAddress6).CombinedOutput()
	c.must(err)
	if _, rest, _ := strings.Cut(string(out), " src "); !strings.HasPrefix(rest, want+" ") {
		c.t.Errorf("the kernel takes %q, want the source %s", out, want)
	}
}

// deprecated lists node01's deprecated addresses.
func (c *cluster) deprecated() string {
	c.t.Helper()
	out, err := exec.Command("ip", "-n", c.node01.Namespace().Name, "-6", "-o", "addr", "show", "dev", "ens160").CombinedOutput()
	c.must(err)
	var list []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); strings.Contains(line, " deprecated") {
			list = append([]string{f[3]}, list...) // the newest comes first
		}
	}
	return strings.Join(list, " ")
}

// A VIP that the file no longer has when a killed weir starts again is removed, and told
// of; what another program has added stays, and the master goes on.
func TestOldVIPsGoAtTheNextStart(t *testing.T) {
	t.Parallel()
	w := wish{weights: [3]int{1, 2, -1}}
	with := func(vips ...string) string {
		return strings.Replace(w.file("node01"), "virtual_ipaddress {", "virtual_ipaddress_excluded {\n        "+strings.Join(vips, "\n        ")+"\n    }\n    virtual_ipaddress {", 1)
	}
	c := start(t, func(o *lab.ClusterOptions) {
		o.IPv6 = true
		o.Nodes[0].Config = with("192.168.25.101", "192.168.25.102/24", "2001:db8:25::101", "2001:db8:25::102/64 dev lo", "192.168.25.103")
		o.Nodes[1].Config = w.file("node02")
	})
	const foreign = "192.168.25.150/32"
	c.must(ip("addr", "add", foreign, "dev", "ens160")(c.node01))
	nobody := func(want bool) bool {
		have := fmt.Sprint(c.addrs("ens160"), c.addrs("lo"))
		for _, a := range []string{"192.168.25.101/32", "192.168.25.102/24", "2001:db8:25::101/128", "2001:db8:25::102/64"} {
			if strings.Contains(have, a) != want {
				return false
			}
		}
		return true
	}
	for ctx := c.within(5 * time.Second); !nobody(true); time.Sleep(10 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("the master has %v and %v", c.addrs("ens160"), c.addrs("lo"))
		}
	}
	c.must(c.node01.KillWeir())
	mark := time.Now()
	c.write(c.node01, with("192.168.25.103"))
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	c.waitState(c.node01, mark, model.Master, 5*time.Second)
	if have := fmt.Sprint(c.addrs("ens160")); !nobody(false) || !strings.Contains(have, foreign) || !strings.Contains(have, "192.168.25.103/32") {
		t.Errorf("the master has %v and %v", c.addrs("ens160"), c.addrs("lo"))
	}
	events, err := c.node01.Happened(c.within(5*time.Second), mark)
	c.must(err)
	told := 0
	for _, e := range events {
		if lab.IsKind(model.OldVIP)(e) {
			told++
		}
	}
	if told != 4 {
		t.Errorf("%d old VIPs were told of, want 4", told)
	}
	c.waitAnswer()
}

// addrs are the addresses of a device of node01.
func (c *cluster) addrs(device string) []netip.Prefix {
	c.t.Helper()
	list, err := c.node01.Namespace().Addrs(device)
	c.must(err)
	return list
}
