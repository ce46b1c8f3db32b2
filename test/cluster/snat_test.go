package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

// allPortsConfig is a director that is the gateway of its NAT servers, and a service for
// all TCP ports and one for all UDP ports of its address.
const allPortsConfig = `
virtual_server 192.168.25.100 0 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    persistence_timeout 60
    real_server 10.2.0.31 0 {
    }
}
virtual_server 192.168.25.100 0 {
    lb_algo rr
    lb_kind NAT
    protocol UDP
    real_server 10.2.0.31 0 {
    }
}
weir {
    device ens160 {
        hook %s
    }
    device inner {
        hook %s
    }
}
`

// The ports are others than the server's, so that an answer which misses the translation's way
// back does not find the socket either.
const snatRules = `table ip nat {
	chain post {
		type nat hook postrouting priority srcnat;
		oifname "ens160" ip saddr 10.2.0.0/24 meta l4proto { tcp, udp } snat to 192.168.25.100:20000-30000
	}
}
`

// A NAT server's own connections leave with the VIP as their source. The answers to them
// come to an address of which a service takes all ports, and still reach the server.
func TestServersBehindSNAT(t *testing.T) {
	for _, hook := range []string{"tc", "generic"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			c, server := startSNAT(t, hook)
			nstest.WaitFor(t, "an answer of the service", func() bool {
				_, err := askWho(c.Client(), "tcp4", "192.168.25.100:80")
				return err == nil
			})
			for range 5 {
				for _, tt := range []struct {
					from          *lab.Namespace
					network, what string
					want          string
				}{
					{server, "tcp4", "192.168.25.10:8080", "192.168.25.100"}, {server, "udp4", "192.168.25.10:53", "192.168.25.100"},
					{server, "udp4 in fragments", "192.168.25.10:53", "192.168.25.100"},
					{c.Client(), "tcp4", "192.168.25.100:80", "192.168.25.10"}, {c.Client(), "udp4", "192.168.25.100:53", "192.168.25.10"},
					{c.Client(), "udp4 in fragments", "192.168.25.100:53", "192.168.25.10"},
				} {
					if got, err := askWho(tt.from, tt.network, tt.what); err != nil || got != tt.want {
						t.Errorf("%s %s: asked as %q, %v, want %s", tt.network, tt.what, got, err, tt.want)
					}
				}
			}
		})
	}
}

// startSNAT builds the director, its server in a network of its own, and listeners on both
// ends that say who asks.
func startSNAT(t *testing.T, hook string) (*cluster, *lab.Namespace) {
	t.Helper()
	var server *lab.Namespace
	opts := lab.ClusterOptions{
		Options: lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{{Name: "director", Addr: netip.MustParsePrefix("192.168.25.1/24"), Config: fmt.Sprintf(allPortsConfig, hook, hook)}},
	}
	opts.Prepare = func(c *lab.Cluster) (err error) {
		if server, err = c.AddNamespace("server", false); err != nil {
			return err
		}
		director := c.Node("director").Namespace()
		if err := lab.Connect(lab.LinkEnd{Namespace: director, Name: "inner"}, lab.LinkEnd{Namespace: server, Name: "eth0"}); err != nil {
			return err
		}
		return errors.Join(
			director.AddAddr("inner", netip.MustParsePrefix("10.2.0.1/24")), director.SetUp("inner"),
			director.AddAddr("ens160", netip.MustParsePrefix("192.168.25.100/32")), director.Sysctl("ipv4/ip_forward", "1"),
			server.AddAddr("eth0", netip.MustParsePrefix("10.2.0.31/24")), server.SetUp("eth0"),
			server.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.2.0.1")), nft(director, snatRules),
		)
	}
	c := build(t, opts)
	c.tellWho(c.Client(), "0.0.0.0:8080", "0.0.0.0:53")
	c.tellWho(server, "0.0.0.0:80", "0.0.0.0:53")
	c.must(c.Start(c.within(2 * time.Minute)))
	return c, server
}

// tellWho answers everybody with the address that they ask from, until the test ends; a
// datagram's answer is as long as the question.
func (c *cluster) tellWho(ns *lab.Namespace, tcp, udp string) {
	c.t.Helper()
	var listener net.Listener
	var socket net.PacketConn
	c.must(ns.Do(func() (err error) {
		if listener, err = net.Listen("tcp4", tcp); err != nil {
			return err
		}
		socket, err = net.ListenPacket("udp4", udp)
		return err
	}))
	c.t.Cleanup(func() { listener.Close(); socket.Close() })
	host := func(a net.Addr) []byte { return []byte(netip.MustParseAddrPort(a.String()).Addr().String()) }
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write(host(conn.RemoteAddr()))
			conn.Close()
		}
	}()
	go func() {
		for {
			question := make([]byte, 1<<16)
			n, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			socket.WriteTo(append(host(from), question[1:n]...), from)
		}
	}()
}

// askWho asks tellWho; by "udp4 in fragments" with a datagram, and for an answer, that no device
// takes in one packet.
func askWho(ns *lab.Namespace, network, addr string) (string, error) {
	network, fragments := strings.CutSuffix(network, " in fragments")
	var conn net.Conn
	if err := ns.Do(func() (err error) {
		conn, err = net.DialTimeout(network, addr, 2*time.Second)
		return err
	}); err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	question := []byte("?")
	if fragments {
		question = append(question, make([]byte, 3000)...)
	}
	if _, err := conn.Write(question); err != nil {
		return "", err
	}
	answer := make([]byte, 1<<16)
	n, err := conn.Read(answer)
	return string(bytes.TrimRight(answer[:n], "\x00")), err
}
