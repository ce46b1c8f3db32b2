package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"weir/internal/lab"
)

// unreachableServices have a server each that has no route, or that nobody answers for, by
// every method and over both families: at port 8001 and the next ones.
func unreachableServices() (text string, targets []string) {
	for _, kind := range []string{"DR", "NAT", "TUN"} {
		for _, family := range [][]string{{"192.168.25.100", "10.9.0.31", "192.168.25.77"}, {"2001:db8:25::100", "2001:db8:9::31", "2001:db8:25::77"}} {
			for _, server := range family[1:] {
				port := 8001 + len(targets)
				text += fmt.Sprintf("virtual_server %s %d {\n    lb_algo rr\n    lb_kind %s\n    protocol TCP\n    real_server %s %d {\n    }\n}\n", family[0], port, kind, server, port)
				targets = append(targets, net.JoinHostPort(family[0], fmt.Sprint(port)))
			}
		}
	}
	return text, targets
}

// A client whose server cannot be reached learns that at once where there is no route, and
// otherwise as soon as the kernel has looked for the neighbour: no connect() waits for its
// time-out. So does the director itself.
func TestConnectToAnUnreachableServer(t *testing.T) {
	services, targets := unreachableServices()
	for _, hook := range []string{"tc", "native"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			c := build(t, lab.ClusterOptions{
				Options: lab.Options{Executable: executable}, IPv6: true,
				Client: netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:8001"),
				Nodes: []lab.NodeSpec{
					{Name: "director", Addr: netip.MustParsePrefix("192.168.25.1/24"), Config: services + "weir {\n    device ens160 {\n        hook " + hook + "\n    }\n}\n"},
				},
				Prepare: func(c *lab.Cluster) error {
					if hook != "tc" {
						if err := prepareXDP(t, c, "client", "director"); err != nil {
							return err
						}
					}
					for _, own := range []string{"192.168.25.100/32", "2001:db8:25::1/64", "2001:db8:25::100/128"} {
						if err := c.Node("director").Namespace().AddAddr("ens160", netip.MustParsePrefix(own)); err != nil {
							return err
						}
					}
					return c.Client().AddAddr("ens160", netip.MustParsePrefix("2001:db8:25::10/64"))
				},
			})
			c.must(c.Start(c.within(2 * time.Minute)))
			for name, from := range map[string]*lab.Namespace{"a client": c.Client(), "the director": c.Node("director").Namespace()} {
				for _, target := range targets {
					c.must(from.Do(func() error {
						err := error(syscall.ECONNREFUSED) // of the local stack, until the data plane is there
						for ctx := c.within(time.Minute); errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil; {
							var conn net.Conn
							if conn, err = new(net.Dialer).DialContext(ctx, "tcp", target); err == nil {
								conn.Close()
							}
						}
						if !errors.Is(err, syscall.EHOSTUNREACH) {
							t.Errorf("%s, to %s: %v, want %v", name, target, err, syscall.EHOSTUNREACH)
						}
						return nil
					}))
				}
			}
		})
	}
}
