package interop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// acceptConf is a master of all versions and families with no_accept, without it, and as the
// owner of its addresses.
const acceptConf = `
vrrp_instance V2 {
    interface ens160
    virtual_router_id 51
    priority 200
    no_accept
    virtual_ipaddress {
        192.168.25.100
    }
}
vrrp_instance V3 {
    interface ens160
    virtual_router_id 52
    version 3
    priority 200
    no_accept
    virtual_ipaddress {
        192.168.25.101
    }
}
vrrp_instance V6 {
    interface ens160
    virtual_router_id 53
    version 3
    priority 200
    no_accept
    virtual_ipaddress {
        fe80::53
        2001:db8::100
    }
}
vrrp_instance ACCEPTS {
    interface ens160
    virtual_router_id 54
    priority 200
    virtual_ipaddress {
        192.168.25.102
    }
    virtual_ipaddress_excluded {
        2001:db8::102
    }
}
vrrp_instance OWNER {
    interface ens160
    virtual_router_id 55
    state MASTER
    priority 255
    no_accept
    virtual_ipaddress {
        192.168.25.103
    }
}
`

// TestNoAcceptLikeKeepalived wants clients to see the same of weir and the real keepalived: an
// address with no_accept is found by ARP and neighbour discovery, and says nothing else.
func TestNoAcceptLikeKeepalived(t *testing.T) {
	for _, name := range []string{"weir", "keepalived"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			director, client := s.host(t, name, "192.168.25.31"), s.host(t, "client", "192.168.25.10")
			for h, addr := range map[*host]string{director: "2001:db8::31/64", client: "2001:db8::10/64"} {
				own, err := netlink.ParseAddr(addr)
				must(t, err)
				own.Flags = 2 // IFA_F_NODAD
				must(t, h.AddrAdd(h.dev, own))
			}
			startProgram(t, director, name, acceptConf)
			for _, w := range []struct {
				vip     string
				answers bool
			}{
				{"192.168.25.103", true}, {"192.168.25.102", true}, {"2001:db8::102", true},
				{"192.168.25.100", false}, {"192.168.25.101", false}, {"2001:db8::100", false},
			} {
				vip := netip.MustParseAddr(w.vip)
				waitNeighbour(t, client, vip)
				if got := pings(t, client, vip, w.answers); got != w.answers {
					t.Errorf("an echo to %s is answered: %v, want %v", vip, got, w.answers)
				}
				if got := refuses(t, client, vip); got != w.answers {
					t.Errorf("a connection to %s is refused: %v, want %v", vip, got, w.answers)
				}
			}
		})
	}
}

// waitNeighbour waits until a host has found an address by ARP or neighbour discovery.
func waitNeighbour(t *testing.T, h *host, addr netip.Addr) {
	t.Helper()
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if conn, err := dialFor(h, addr, 100*time.Millisecond); err == nil {
			conn.Close()
		}
		list, err := h.NeighList(h.dev.Attrs().Index, family)
		must(t, err)
		for _, n := range list {
			if found, ok := netip.AddrFromSlice(n.IP); ok && found.Unmap() == addr && len(n.HardwareAddr) > 0 && n.State&netlink.NUD_REACHABLE != 0 {
				return
			}
		}
	}
	t.Fatalf("nobody on the segment says that it has %s", addr)
}

// dialFor tries to connect to a port where nobody listens.
func dialFor(h *host, addr netip.Addr, d time.Duration) (conn net.Conn, err error) {
	err = within(h.ns, func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(addr, 7).String())
		return err
	})
	return conn, err
}

// refuses says whether a connection is refused; otherwise it gets no answer.
func refuses(t *testing.T, h *host, addr netip.Addr) bool {
	t.Helper()
	conn, err := dialFor(h, addr, 3*time.Second)
	if err == nil {
		conn.Close()
		t.Errorf("somebody takes connections at %s", addr)
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// pings says whether an echo is answered, within 30 s where it is to be.
func pings(t *testing.T, h *host, to netip.Addr, want bool) bool {
	t.Helper()
	question, network, own, answer := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff}}, "ip4:icmp", "0.0.0.0", byte(ipv4.ICMPTypeEchoReply)
	if to.Is6() {
		question.Type, network, own, answer = ipv6.ICMPTypeEchoRequest, "ip6:ipv6-icmp", "::", byte(ipv6.ICMPTypeEchoReply)
	}
	var conn net.PacketConn
	must(t, within(h.ns, func() (err error) {
		conn, err = net.ListenPacket(network, own)
		return err
	}))
	defer conn.Close()
	packet, err := question.Marshal(nil)
	must(t, err)
	tries := 6
	if want {
		tries = 100
	}
	for b := make([]byte, 4096); tries > 0; tries-- {
		if _, err := conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			continue
		}
		must(t, conn.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		for {
			_, from, err := conn.ReadFrom(b)
			if err != nil {
				break
			}
			if from.String() == to.String() && b[0] == answer {
				return true
			}
		}
	}
	return false
}
