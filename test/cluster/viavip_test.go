package cluster

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// viaConfig is a director with four servers, by direct routing, a tunnel and NAT.
const viaConfig = `
vrrp_instance VI_1 {
    interface ens160
    virtual_router_id 51
    priority %d
    virtual_ipaddress {
        192.168.25.100
    }
}
virtual_server 192.168.25.100 80 {
    delay_loop 1
    retry 1
    delay_before_retry 1
    connect_timeout 1
    lb_algo rr
    protocol TCP
    real_server 192.168.25.31 80 {
        lvs_method DR
        TCP_CHECK {
        }
    }
    real_server 192.168.25.32 80 {
        lvs_method DR
        TCP_CHECK {
        }
    }
    real_server 192.168.25.33 80 {
        lvs_method TUN
        TCP_CHECK {
        }
    }
    real_server 192.168.25.34 80 {
        lvs_method NAT
        TCP_CHECK {
        }
    }
}
weir {
    service TCP 192.168.25.100 80 {
        check_via_vip
    }
}
`

// startVia builds a master, a standby and four servers.
func startVia(t *testing.T) *cluster {
	t.Helper()
	node := func(name, addr string) lab.NodeSpec {
		return lab.NodeSpec{Name: name, Addr: netip.MustParsePrefix(addr + "/24"), Web: name}
	}
	director := func(name, addr string, priority int) lab.NodeSpec {
		return lab.NodeSpec{Name: name, Addr: netip.MustParsePrefix(addr + "/24"), Config: fmt.Sprintf(viaConfig, priority)}
	}
	dr1, dr2, tun := node("dr1", "192.168.25.31"), node("dr2", "192.168.25.32"), node("tun", "192.168.25.33")
	server := func(method string) []string {
		return []string{"start", "--vip", "192.168.25.100", "--method", method, "--state", filepath.Join(t.TempDir(), "realserver.json")}
	}
	dr1.RealServer, dr2.RealServer, tun.RealServer = server("direct"), server("direct"), append(server("tunnel"), "--decap", "bpf")
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"),
		Target:  netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			dr1, dr2, tun, node("nat", "192.168.25.34"),
			director("master", "192.168.25.1", 150), director("standby", "192.168.25.2", 100),
		},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("nat").Namespace().AddRoute(netip.MustParsePrefix("192.168.25.10/32"), netip.MustParseAddr("192.168.25.1"))
		},
	})
	c.node01, c.node02 = c.Node("master"), c.Node("standby")
	c.must(c.Start(c.within(2 * time.Minute)))
	return c
}

// wantServers wants each of these directors to have these servers, up or down.
func (c *cluster) wantServers(directors []*lab.Node, want string) {
	c.t.Helper()
	for _, d := range directors {
		v, err := d.View()
		c.must(err)
		var got []string
		for _, n := range []string{"dr1", "dr2", "tun", "nat"} {
			state := "up"
			if v.Down[c.Node(n).Service()] != "" {
				state = "down"
			}
			got = append(got, n+" "+state)
		}
		if got := strings.Join(got, ", "); got != want {
			c.t.Errorf("%s: %s; want %s; %v", d.Spec.Name, got, want, v.Down)
		}
	}
}

// Each server has its own fault, which a check of its own address does not find. Both the
// master and the standby, which has no lease, take it out and say why.
func TestCheckThroughTheVIP(t *testing.T) {
	t.Parallel()
	c := startVia(t)
	directors := []*lab.Node{c.node01, c.node02}
	for _, d := range directors {
		for _, n := range []string{"31", "32", "33", "34"} {
			check := "check_via_vip 192.168.25.100:80 192.168.25." + n + ":80"
			_, err := d.Wait(c.within(20*time.Second), check+" passes", func(e model.Event) bool {
				return e.Kind == model.FirstCheckPassed && e.Detail("check") == check
			})
			c.must(err)
		}
	}
	c.wantServers(directors, "dr1 up, dr2 up, tun up, nat up")
	begun := time.Now()
	faults := []struct {
		node, reason string
		make         func(n *lab.Node) error
	}{
		{"dr1", "it has lost 192.168.25.100 from lo", func(n *lab.Node) error {
			return n.Namespace().DelAddr("lo", netip.MustParsePrefix("192.168.25.100/32"))
		}},
		{"dr2", "it answers ARP for 192.168.25.100", func(n *lab.Node) error {
			for _, device := range []string{"all", "ens160"} {
				if err := n.Namespace().Sysctl("ipv4/conf/"+device+"/arp_ignore", "0"); err != nil {
					return err
				}
			}
			return nil
		}},
		{"tun", "its tunnel is gone", func(n *lab.Node) error {
			start := n.Spec.RealServer
			if _, err := n.Exec(c.within(10*time.Second), "realserver", "stop", start[5], start[6]); err != nil {
				return err
			}
			start[4] = "direct"
			_, err := n.Exec(c.within(10*time.Second), append([]string{"realserver"}, start[:7]...)...)
			return err
		}},
	}
	for _, fault := range faults {
		c.must(fault.make(c.Node(fault.node)))
	}
	for _, fault := range faults {
		n := c.Node(fault.node)
		for _, d := range directors {
			e, err := d.WaitFrom(c.within(30*time.Second), begun, n.Service()+" down", lab.IsServer(n.Service(), "down"))
			c.must(err)
			t.Logf("%s on %s: %s", fault.node, d.Spec.Name, e.Reason)
			if !strings.Contains(e.Reason, fault.reason) {
				t.Errorf("%s on %s is out for %q, want %q", fault.node, d.Spec.Name, e.Reason, fault.reason)
			}
		}
		// Its own address is as it was: TCP_CHECK passes.
		if st := lab.Requests(c.within(10*time.Second), c.node01.Namespace(), n.Service(), 3); st.Failures() > 0 {
			t.Errorf("%s at its own address: %s", fault.node, st)
		}
	}
	c.wantServers(directors, "dr1 down, dr2 down, tun down, nat up")
	// A server that is put right comes back.
	begun = time.Now()
	n := c.Node("dr1")
	c.must(n.Namespace().AddAddr("lo", netip.MustParsePrefix("192.168.25.100/32")))
	for _, d := range directors {
		_, err := d.WaitFrom(c.within(30*time.Second), begun, n.Service()+" up", lab.IsServer(n.Service(), "up"))
		c.must(err)
	}
}
