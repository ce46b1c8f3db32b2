package cluster

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"weir/internal/lab"
)

// natConfig is a director without VRRP, and two servers behind NAT.
const natConfig = `
virtual_server 192.168.25.100 80 {
    delay_loop 6
    lb_algo %s
    lb_kind NAT
    protocol TCP
    real_server 192.168.25.31 80 {
        weight 1
        TCP_CHECK {
        }
    }
    real_server 192.168.25.32 80 {
        weight 2
        TCP_CHECK {
        }
    }
}
weir {
    device ens160 {
        hook %s
    }
}
`

// startNAT builds a director with its address and the VIP, and two servers that answer the
// client through the director.
func startNAT(t *testing.T, scheduler, hook string) *cluster {
	t.Helper()
	opts := lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"),
		Target:  netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Web: "node01 service"},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Web: "node02 service"},
			{Name: "director", Addr: netip.MustParsePrefix("192.168.25.1/24"), Config: fmt.Sprintf(natConfig, scheduler, hook)},
		},
		Prepare: func(c *lab.Cluster) error {
			if hook != "tc" {
				if err := prepareXDP(t, c, "client", "node01", "node02", "director"); err != nil {
					return err
				}
			}
			if err := c.Node("director").Namespace().AddAddr("ens160", netip.MustParsePrefix("192.168.25.100/32")); err != nil {
				return err
			}
			for _, n := range []string{"node01", "node02"} {
				err := c.Node(n).Namespace().AddRoute(netip.MustParsePrefix("192.168.25.10/32"), netip.MustParseAddr("192.168.25.1"))
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	c := build(t, opts)
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitAnswer()
	return c
}

func TestNAT(t *testing.T) {
	for _, hook := range []string{"tc", "generic", "native"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			c := startNAT(t, "wrr", hook)
			before, err := c.Counters("director", "ens160")
			c.must(err)
			c.wantSplit(100, 200)
			after, err := c.Counters("director", "ens160")
			c.must(err)
			// Both directions pass the director: it sends at least three packets of each
			// request in each direction.
			if sent := after.TxPackets - before.TxPackets; sent < 300*6 {
				t.Errorf("the director sent %d packets for 300 requests; answers took another way", sent)
			}
		})
	}
}

// Real TCP through NAT with Linux's default offloads on tc, 20 MB in each direction.
func TestNATBulk(t *testing.T) {
	t.Parallel()
	c := startNAT(t, "wrr", "tc")
	for _, n := range []*lab.Node{c.node01, c.node02} {
		c.must(n.StopWeb(c.within(5 * time.Second)))
		c.echo(n)
	}
	for range 3 {
		c.bulk()
	}
}

// Open connections count: with lc each server gets the same number.
func TestLeastConnectionCountsOpenConnections(t *testing.T) {
	t.Parallel()
	c := startNAT(t, "lc", "tc")
	for _, n := range []*lab.Node{c.node01, c.node02} {
		c.must(n.StopWeb(c.within(5 * time.Second)))
		c.echo(n)
	}
	for range 20 {
		c.hold()
	}
	for _, n := range []*lab.Node{c.node01, c.node02} {
		var out []byte
		c.must(n.Namespace().Do(func() (err error) {
			out, err = exec.Command("ss", "-Htn", "state", "established", "sport", "=", ":80").Output()
			return err
		}))
		if open := lines(out); open != 10 {
			t.Errorf("%s has %d open connections of 20, want 10:\n%s", n.Spec.Name, open, out)
		}
	}
}
