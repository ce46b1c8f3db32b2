package traffic

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// tunnels are kinds of TCP through a tunnel, and what of 1,500 bytes its outer
// header leaves: each family's wider one first, as the client remembers the narrower.
var tunnels = []struct {
	kind
	fits int
}{
	{kind{method: "TUN", family: "IPv4", proto: "TCP"}, 1480},
	{mixed[0], 1460},
	{mixed[1], 1480},
	{kind{method: "TUN", family: "IPv6", proto: "TCP"}, 1460},
}

// A client whose packets, of 1,500 bytes and not to be cut, do not fit into the
// tunnel learns from weir how long they may be, and all bytes arrive.
func TestPathMTU(t *testing.T) {
	for _, hook := range []string{"native", "tc"} {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, hook, false, narrow)
			if hook == "tc" { // segments of a GSO packet are shortened on the way: nobody would learn
				n.must(n.SetOffload("client", device, "gso", false))
				n.must(n.SetOffload("client", device, "tso", false))
			}
			for _, k := range tunnels {
				t.Run(k.String(), func(t *testing.T) {
					if got := n.pathMTU(t, k.kind); got <= k.fits {
						t.Fatalf("before, the client takes the way for %d bytes wide", got)
					}
					n.carry(t, k.kind)
					if got := n.pathMTU(t, k.kind); got != k.fits {
						t.Errorf("the client takes the way for %d bytes wide, want %d", got, k.fits)
					}
				})
			}
		})
	}
}

// pathMTU is how long a packet the client thinks that the way to the service carries.
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
