package traffic

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
)

// Services beside those of the kinds: one whose server takes no new connections, and one
// behind NAT whose server has nobody at that port.
const (
	refusing = 8005
	closed   = 8006
)

// refusals are the configuration of those services.
func (n *network) refusals() string {
	var b strings.Builder
	for _, proto := range []string{"TCP", "UDP"} {
		for _, ip := range [][2]netip.Addr{{vip4, n.nat.addr4()}, {vip6, n.nat.addr6()}} {
			fmt.Fprintf(&b, "virtual_server %s %d {\n    lb_kind DR\n    protocol %s\n    real_server %s %d {\n        weight 0\n    }\n}\n",
				ip[0], refusing, proto, ip[1], refusing)
			fmt.Fprintf(&b, "virtual_server %s %d {\n    lb_kind NAT\n    protocol %s\n    real_server %s 9006 {\n        weight 1\n    }\n}\n",
				ip[0], closed, proto, ip[1])
		}
	}
	return b.String()
}

// Whoever finishes checksums, the client's device, the director's or nobody until the packet
// arrives, all that weir sends on, lengthens or makes itself arrives with right ones: data by
// each method, refusals, the path MTU, and errors of servers behind NAT. The receivers verify
// what nobody has vouched for, and count what is wrong.
func TestChecksumOffloads(t *testing.T) {
	for _, client := range []bool{true, false} {
		for _, director := range []bool{true, false} {
			t.Run(fmt.Sprintf("client's %v director's %v", client, director), func(t *testing.T) {
				n := newNetwork(t, "tc", false, narrow)
				n.must(n.SetOffload("client", device, "tx", client))
				n.must(n.SetOffload("director", device, "tx", director))
				if client { // so that single packets are too long, as in TestPathMTU
					n.sendsWholePackets()
				}
				for _, k := range tunnels {
					t.Run("path MTU "+k.String(), func(t *testing.T) { n.learns(t, k.kind, k.fits) })
				}
				for _, k := range kinds {
					t.Run(k.String(), func(t *testing.T) { n.carry(t, k) })
				}
				for _, vip := range []netip.Addr{vip4, vip6} {
					for _, port := range []uint16{refusing, closed} {
						at := netip.AddrPortFrom(vip, port)
						t.Run("refusal "+at.String(), func(t *testing.T) { n.wantRefused(t, at) })
					}
				}
				for _, name := range []string{"client", n.nat.name, n.own.name} {
					if wrong := n.wrongChecksums(name); len(wrong) > 0 {
						t.Errorf("%s has received wrong checksums: %v", name, wrong)
					}
				}
			})
		}
	}
}

// wantRefused asks by TCP and by UDP, and expects to be refused. The director may not know
// the way yet, and Linux takes no notice of an error that comes while connect() still holds the
// socket, but of the one about the next SYN.
func (n *network) wantRefused(t *testing.T, at netip.AddrPort) {
	t.Helper()
	for _, proto := range []string{"tcp", "udp"} {
		nstest.WaitFor(t, proto+" to "+at.String()+" is refused", func() bool {
			err := n.Client().Do(func() error {
				conn, err := net.DialTimeout(proto, at.String(), 10*time.Second)
				if err != nil {
					return err
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
					return err
				}
				if _, err := conn.Write([]byte("anybody?")); err != nil {
					return err
				}
				_, err = conn.Read(make([]byte, 1))
				return err
			})
			return errors.Is(err, syscall.ECONNREFUSED)
		})
	}
}

// wrongChecksums are a machine's counters of wrong checksums that are not 0.
func (n *network) wrongChecksums(name string) map[string]int {
	n.t.Helper()
	ns := n.Client()
	if name != "client" {
		ns = n.Node(name).Namespace()
	}
	wrong := map[string]int{}
	n.must(ns.Do(func() error {
		snmp, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		snmp6, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		maps.Copy(wrong, wrongIn4(string(snmp)))
		for line := range strings.Lines(string(snmp6)) {
			if f := strings.Fields(line); len(f) == 2 && strings.Contains(f[0], "InCsumErrors") && f[1] != "0" {
				wrong[f[0]], _ = strconv.Atoi(f[1])
			}
		}
		return nil
	}))
	return wrong
}

// wrongIn4 reads /proc/net/snmp: for each protocol a line of names and one of values.
func wrongIn4(snmp string) map[string]int {
	wrong, lines := map[string]int{}, strings.Split(snmp, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for at, name := range names {
			if name == "InCsumErrors" && at < len(values) && values[at] != "0" {
				wrong[names[0]+name], _ = strconv.Atoi(values[at])
			}
		}
	}
	return wrong
}

// Datagrams that the client hands over many at once (UDP_SEGMENT) arrive through a tunnel
// where each fits; where they do not, the client learns how long they may be.
func TestDatagramsInOneSegment(t *testing.T) {
	for _, tx := range []bool{true, false} {
		t.Run(fmt.Sprintf("director's offload %v", tx), func(t *testing.T) {
			n := newNetwork(t, "tc", false, narrow)
			n.must(n.SetOffload("director", device, "tx", tx))
			for _, c := range []struct {
				kind
				fits int // bytes of payload
			}{
				{kind{method: "TUN", family: "IPv4", proto: "UDP"}, narrow - 20 - 20 - 8},
				{kind{method: "TUN", family: "IPv6", proto: "UDP"}, narrow - 40 - 40 - 8},
			} {
				t.Run(c.String(), func(t *testing.T) { n.sendsSegments(t, c.kind, c.fits) })
			}
			if wrong := n.wrongChecksums(n.own.name); len(wrong) > 0 {
				t.Errorf("the server has received wrong checksums: %v", wrong)
			}
		})
	}
}

// sendsSegments sends ten datagrams at once, of the length that fits, and of more.
func (n *network) sendsSegments(t *testing.T, k kind, fits int) {
	nstest.WaitFor(t, "the way to the server is known", func() bool {
		return n.ask(k, small, 100*time.Millisecond, sendWhole) == nil
	})
	const together = 10
	if got := n.segments(t, k, fits, together); got != together {
		t.Errorf("%d of %d datagrams of %d bytes arrived", got, together, fits)
	}
	before := n.pathMTU(t, k)
	if got := n.segments(t, k, fits+1, together); got != 0 {
		t.Errorf("%d datagrams of %d bytes arrived, which fit into no tunnel", got, fits+1)
	}
	headers := map[string]int{"IPv4": 28, "IPv6": 48}[k.family]
	if got := n.pathMTU(t, k); before != narrow || got != fits+headers {
		t.Errorf("the client takes the way for %d bytes wide, and before for %d; want %d and %d", got, before, fits+headers, narrow)
	}
}

// segments sends datagrams of one length in one call, and returns how many arrive whole.
func (n *network) segments(t *testing.T, k kind, bytesEach, together int) (arrived int) {
	t.Helper()
	name, listen := k.server(n)
	var l, conn *net.UDPConn
	n.must(n.Node(name).Namespace().Do(func() (err error) {
		l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
		return err
	}))
	defer l.Close()
	n.must(n.Client().Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.service()))
		return err
	}))
	defer conn.Close()
	raw, err := conn.SyscallConn()
	n.must(err)
	var failed error
	n.must(raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, bytesEach)
	}))
	n.must(failed)
	if _, err := conn.Write(up[:bytesEach*together]); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2*big)
	for arrived < together {
		n.must(l.SetReadDeadline(time.Now().Add(2 * time.Second)))
		got, err := l.Read(buf)
		if err != nil {
			break
		}
		if got != bytesEach {
			t.Errorf("a datagram of %d bytes arrived, want %d", got, bytesEach)
		}
		arrived++
	}
	return arrived
}
