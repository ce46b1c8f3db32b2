package realserver_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

const port = 8080

// tunnelled is a lan whose client sends to the VIP through a tunnel to the server, as a
// director does. The MTU leaves room for the outer header.
func tunnelled(t *testing.T, vip, from, to netip.Addr) (server, client *nstest.Namespace, rs *realserver.RealServer) {
	t.Helper()
	server, client, rs = lan(t)
	server.IP("link", "set", "ens160", "mtu", "1600")
	client.IP("link", "set", "eth0", "mtu", "1600")
	if vip.Is4() {
		client.IP("route", "add", vip.String(), "via", "192.168.25.31", "mtu", "1500")
	} else {
		client.IP("-6", "route", "add", vip.String(), "via", "fd25::31", "mtu", "1500")
	}
	encapsulate(t, client, "eth0", vip, from, to)
	return server, client, rs
}

// pairs are the families: of the VIP, and of the tunnel.
var pairs = []struct{ name, vip, from, to string }{
	{"IPv4 in IPv4", "192.168.25.100", "192.168.25.9", "192.168.25.31"},
	{"IPv6 in IPv6", "fd25::100", "fd25::9", "fd25::31"},
	{"IPv6 in IPv4", "fd25::100", "192.168.25.9", "192.168.25.31"},
	{"IPv4 in IPv6", "192.168.25.100", "fd25::9", "fd25::31"},
}

// decaps are the kinds of decapsulation that this kernel has; the guest of test/vm has both.
func decaps(t *testing.T) []realserver.Decap {
	t.Helper()
	if has, err := netlnk.HasTunnelKind("ipip"); err != nil {
		t.Fatal(err)
	} else if has {
		return []realserver.Decap{realserver.DecapKernel, realserver.DecapBPF}
	}
	return []realserver.Decap{realserver.DecapBPF}
}

// TCP through the tunnel and back, 20 MB each, then UDP, with Linux's default offloads,
// arrive byte by byte, and only through the tunnel.
func TestTunnelTraffic(t *testing.T) {
	for _, by := range decaps(t) {
		t.Run(string(by), func(t *testing.T) {
			for _, pair := range pairs {
				t.Run(pair.name, func(t *testing.T) {
					vip, from := netip.MustParseAddr(pair.vip), netip.MustParseAddr(pair.from)
					server, client, rs := tunnelled(t, vip, from, netip.MustParseAddr(pair.to))
					server.Do(func() {
						must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Directors: vips{from}, Decap: by}))
						must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Decap: by}))
						wantWell(t, rs)
					})
					carryTCP(t, server, client, vip)
					carryUDP(t, server, client, vip)
					server.Do(func() {
						if rep := wantWell(t, rs); by == realserver.DecapBPF {
							wantAllOut(t, rep)
						}
						must(t, rs.Stop(nil))
						wantNothingLeft(t, server)
					})
				})
			}
		})
	}
}

func wantWell(t *testing.T, rs *realserver.RealServer) realserver.Report {
	t.Helper()
	rep, err := rs.Status(nil)
	must(t, err)
	if len(rep.Problems) > 0 {
		t.Errorf("problems: %s", strings.Join(rep.Problems, "\n"))
	}
	return rep
}

// wantAllOut expects that packets were decapsulated, and none refused.
func wantAllOut(t *testing.T, rep realserver.Report) {
	t.Helper()
	var out uint64
	for _, note := range rep.Notes {
		if strings.HasPrefix(note, "packets that did not") {
			t.Error(note)
		}
		if rest, ok := strings.CutPrefix(note, "packets that came out: "); ok {
			if _, err := fmt.Sscan(rest, &out); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out < uint64(*datagrams) {
		t.Errorf("%d packets came out of the tunnel, want %d and more", out, *datagrams)
	}
}

// wantNothingLeft expects no filter and no tunnel device of weir.
func wantNothingLeft(t *testing.T, n *nstest.Namespace) {
	t.Helper()
	if links := n.IP("link", "show"); strings.Contains(links, "weir-") {
		t.Errorf("devices left:\n%s", links)
	}
	wantAttached(t, "ens160", false)
}

func wantAttached(t *testing.T, dev string, want bool) {
	t.Helper()
	l, err := netlnk.LinkByName(dev)
	must(t, err)
	id, err := netlnk.FilterProgram(l.Index, netlnk.FilterDecap)
	must(t, err)
	if (id != 0) != want {
		t.Errorf("program on %s is %d, want one: %v", dev, id, want)
	}
}

// The guest of test/vm is emulated and slow: it carries fewer bytes.
var (
	megabytes = flag.Int("megabytes", 20, "how much TCP a tunnel carries each way")
	datagrams = flag.Int("datagrams", 2000, "how many datagrams it carries")
)

// stream is a reproducible stream of random bytes.
func stream(seed byte) []byte {
	b := make([]byte, *megabytes<<20)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// carryTCP sends a stream to the server, which answers with its hash and with
// another stream.
func carryTCP(t *testing.T, server, client *nstest.Namespace, vip netip.Addr) {
	t.Helper()
	at := net.TCPAddrFromAddrPort(netip.AddrPortFrom(vip, port))
	var l *net.TCPListener
	var c *net.TCPConn
	var err error
	server.Do(func() { l, err = net.ListenTCP("tcp", at) })
	must(t, err)
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- serveTCP(l) }()
	client.Do(func() { c, err = net.DialTCP("tcp", nil, at) })
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(60*time.Second)))
	up := stream(1)
	_, err = c.Write(up)
	must(t, err)
	must(t, c.CloseWrite())
	got, err := io.ReadAll(c)
	must(t, err)
	must(t, <-served)
	hash := sha256.Sum256(up)
	if want := append(hash[:], stream(2)...); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, want %d and each the same", len(got), len(want))
	}
}

func serveTCP(l *net.TCPListener) error {
	c, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, c); err != nil {
		return err
	}
	_, err = c.Write(append(hash.Sum(nil), stream(2)...))
	return err
}

// carryUDP sends datagrams, each acknowledged by its own bytes, then some in one
// write of many (UDP_SEGMENT), which is one GSO packet up to the server.
func carryUDP(t *testing.T, server, client *nstest.Namespace, vip netip.Addr) {
	t.Helper()
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, port))
	var l, c *net.UDPConn
	var err error
	server.Do(func() { l, err = net.ListenUDP("udp", at) })
	must(t, err)
	defer l.Close()
	client.Do(func() { c, err = net.DialUDP("udp", nil, at) })
	must(t, err)
	defer c.Close()
	deadline := time.Now().Add(60 * time.Second)
	must(t, l.SetDeadline(deadline))
	must(t, c.SetDeadline(deadline))
	payload := stream(3)
	const size = 1400
	buf := make([]byte, 2*size)
	for i := range *datagrams {
		sent := payload[i*size:][:size]
		_, err := c.Write(sent)
		must(t, err)
		n, from, err := l.ReadFromUDP(buf)
		must(t, err)
		_, err = l.WriteToUDP(buf[:n], from)
		must(t, err)
		if n, err = c.Read(buf); err != nil || !bytes.Equal(buf[:n], sent) {
			t.Fatalf("datagram %d came back with %d bytes, %v", i, n, err)
		}
	}
	setSegment(t, c, size)
	_, err = c.Write(payload[:10*size])
	must(t, err)
	for i := range 10 {
		n, _, err := l.ReadFromUDP(buf)
		if err != nil || !bytes.Equal(buf[:n], payload[i*size:][:size]) {
			t.Fatalf("segment %d came with %d bytes, %v", i, n, err)
		}
	}
}

func setSegment(t *testing.T, c *net.UDPConn, size int) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) }))
	must(t, err)
}

// Without Start no packet is decapsulated, and none of a sender that is no director.
func TestNothingComesOutUnasked(t *testing.T) {
	server, client, rs := tunnelled(t, vip, clientIP, rip)
	refused := func(why string) {
		t.Helper()
		client.Do(func() {
			c, err := (&net.Dialer{Timeout: 300 * time.Millisecond}).Dial("tcp", netip.AddrPortFrom(vip, port).String())
			if err == nil {
				c.Close()
				t.Errorf("%s: connected", why)
			}
		})
	}
	server.Do(func() {
		must(t, rs.Start(vips{vip}))
		l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		must(t, err)
		t.Cleanup(func() { l.Close() })
	})
	refused("started for direct routing")
	server.Do(func() {
		must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Directors: vips{netip.MustParseAddr("192.168.25.32")}}))
	})
	refused("another is the director")
	server.Do(func() { must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Directors: vips{clientIP}})) })
	client.Do(func() {
		c, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", netip.AddrPortFrom(vip, port).String())
		must(t, err)
		c.Close()
	})
}
