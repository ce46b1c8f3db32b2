package traffic

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// tunnels are kinds of TCP through a tunnel, and how many of 1,500 bytes the outer header
// leaves. Of each family the larger MTU comes first, since the client remembers the smaller.
var tunnels = []struct {
	kind
	fits int
}{
	{kind{method: "TUN", family: "IPv4", proto: "TCP"}, 1480},
	{mixed[0], 1460},
	{mixed[1], 1480},
	{kind{method: "TUN", family: "IPv6", proto: "TCP"}, 1460},
}

// A client whose packets have 1,500 bytes and must not be fragmented, so that they do not fit
// into the tunnel, learns the path MTU from weir, and all bytes arrive.
func TestPathMTU(t *testing.T) {
	for _, hook := range []string{"native", "tc"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, hook, false, narrow)
			n.sendsWholePackets()
			for _, k := range tunnels {
				t.Run(k.String(), func(t *testing.T) { n.learns(t, k.kind, k.fits) })
			}
		})
	}
}

// Where a link behind the next router has a smaller MTU, that router sends an ICMP error to
// weir, which sends one to the client. (With IPv6 in IPv4, routers fragment instead.)
func TestPathMTUBeyondARouter(t *testing.T) {
	const farther = 1400
	for _, hook := range []string{"native", "tc"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, hook, true, narrow)
			n.sendsWholePackets()
			for _, set := range []string{"ipv4/conf/all/accept_redirects", "ipv4/conf/" + second + "/accept_redirects", "ipv6/conf/" + second + "/accept_redirects"} {
				n.must(n.Node("director").Namespace().Sysctl(set, "0"))
			}
			for _, addrs := range [][2]string{{n.own.addr4().String() + "/32", routerBack.addr4().String()}, {n.own.addr6().String() + "/128", routerBack.addr6().String()}} {
				n.ip("router", fmt.Sprintf("route add %s dev %s mtu lock %d", addrs[0], second, farther))
				n.ip("director", fmt.Sprintf("route add %s via %s dev %s", addrs[0], addrs[1], second))
			}
			for _, k := range tunnels {
				if k.outer == "IPv4" {
					continue
				}
				t.Run(k.String(), func(t *testing.T) { n.learns(t, k.kind, k.fits-narrow+farther) })
			}
		})
	}
}

// sendsWholePackets turns segmentation offload of the client off, as it already is at XDP: the
// segments of a GSO packet would be made to fit on the way, and the client would not learn the
// path MTU.
func (n *network) sendsWholePackets() {
	if n.hook == "tc" {
		n.must(n.SetOffload("client", device, "gso", false))
		n.must(n.SetOffload("client", device, "tso", false))
	}
}

// learns carries traffic, and expects that the client learns this path MTU by it.
func (n *network) learns(t *testing.T, k kind, fits int) {
	t.Helper()
	if got := n.pathMTU(t, k); got <= fits {
		t.Fatalf("before, the client takes the way for %d bytes wide", got)
	}
	n.carry(t, k)
	if got := n.pathMTU(t, k); got != fits {
		t.Errorf("the client takes the way for %d bytes wide, want %d", got, fits)
	}
}

// pathMTU is the client's path MTU to the service, in bytes.
func (n *network) pathMTU(t *testing.T, k kind) (mtu int) {
	t.Helper()
	err := n.Client().Do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.service()))
		if err != nil {
			return err
		}
		defer conn.Close()
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		level, option := unix.IPPROTO_IP, unix.IP_MTU
		if k.family == "IPv6" {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
		}
		var failed error
		err = raw.Control(func(fd uintptr) { mtu, failed = unix.GetsockoptInt(int(fd), level, option) })
		if err != nil {
			return err
		}
		return failed
	})
	if err != nil {
		t.Fatal(err)
	}
	return mtu
}
