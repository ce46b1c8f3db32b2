package vrrp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// host is a network namespace without a name, which ends with the test's process, also
// where that is killed.
type host struct {
	ns     netns.NsHandle
	handle *netlink.Handle
	dev    netlink.Link
	addr   netip.Addr
}

// within runs f on a thread of its own in the namespace; the thread ends with it.
func within(t *testing.T, ns netns.NsHandle, f func() error) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func newHost(t *testing.T, addr string) *host {
	t.Helper()
	h := &host{addr: netip.MustParseAddr(addr)}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var err error
		h.ns, err = netns.New()
		result <- err
	}()
	if err := <-result; err != nil {
		t.Fatalf("new network namespace (needs root): %v", err)
	}
	t.Cleanup(func() { h.ns.Close() })
	var err error
	if h.handle, err = netlink.NewHandleAt(h.ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.handle.Close)
	return h
}

// twoHosts are the seed's two directors, connected by a veth pair.
func twoHosts(t *testing.T) (a, b *host) {
	t.Helper()
	a, b = newHost(t, "192.168.25.31"), newHost(t, "192.168.25.32")
	join(t, a, b)
	return a, b
}

// join connects two hosts by a veth pair with their addresses on its ends.
func join(t *testing.T, a, b *host) {
	t.Helper()
	cable := netlink.NewVeth(netlink.LinkAttrs{Name: "ens160"})
	cable.PeerName, cable.PeerNamespace = "ens160", netlink.NsFd(b.ns)
	must(t, a.handle.LinkAdd(cable))
	for _, h := range []*host{a, b} {
		var err error
		h.dev, err = h.handle.LinkByName("ens160")
		must(t, err)
		addr, err := netlink.ParseAddr(h.addr.String() + "/24")
		must(t, err)
		must(t, h.handle.AddrAdd(h.dev, addr))
		must(t, h.handle.LinkSetUp(h.dev))
	}
	a.waitUp(t)
	b.waitUp(t)
}

// waitUp waits until the kernel has noticed the carrier: before that it drops packets
// without an error.
func (h *host) waitUp(t *testing.T) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-again.C {
		dev, err := h.handle.LinkByName("ens160")
		must(t, err)
		if dev.Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatal("ens160 is not up after 5 s")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *host) open(t *testing.T, vrid uint8, peers ...netip.Addr) *Link {
	t.Helper()
	var l *Link
	within(t, h.ns, func() (err error) {
		l, err = OpenLink(LinkConfig{Interface: "ens160", VRID: vrid, Source: h.addr, UnicastPeers: peers}, discard())
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l
}

func (h *host) mac() string { return h.dev.Attrs().HardwareAddr.String() }

// receive waits for one packet.
func receive(t *testing.T, l *Link) Packet {
	t.Helper()
	select {
	case p := <-l.Received():
		return p
	case <-time.After(5 * time.Second):
		t.Fatal("nothing received in 5 s")
		return Packet{}
	}
}

func seedAdvert(vrid, priority uint8) Advertisement {
	return Advertisement{VRID: vrid, Priority: priority, Interval: time.Second, Auth: Password("1111"), VIPs: addrs("192.168.25.100")}
}

func TestLinkMulticast(t *testing.T) {
	a, b := twoHosts(t)
	from, to, other := a.open(t, 51), b.open(t, 51), a.open(t, 52)
	var raw *packet.Conn
	within(t, b.ns, func() error {
		device, err := net.InterfaceByName("ens160")
		if err != nil {
			return err
		}
		raw, err = packet.Listen(device, packet.Raw, unix.ETH_P_IP, nil)
		return err
	})
	defer raw.Close()

	must(t, other.Send(seedAdvert(52, 200))) // not for this instance
	must(t, from.Send(seedAdvert(51, 100)))
	p := receive(t, to)
	if p.Err != nil || p.Source != a.addr || p.MAC.String() != a.mac() || p.TTL != 255 || !p.Multicast {
		t.Errorf("got %+v, want source %s, MAC %s, TTL 255, multicast", p, a.addr, a.mac())
	}
	if p.Advertisement.Priority != 100 || p.Advertisement.VRID != 51 {
		t.Errorf("got %+v", p.Advertisement)
	}
	// The sender hears neither itself nor the other instance of its machine.
	must(t, to.Send(seedAdvert(51, 90)))
	if p := receive(t, from); p.Source != b.addr || p.Advertisement.Priority != 90 {
		t.Errorf("got %+v, want the advert of %s", p, b.addr)
	}
	for {
		frame := make([]byte, 1500)
		must(t, raw.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, _, err := raw.ReadFrom(frame)
		must(t, err)
		if n < 34 || frame[23] != Protocol {
			continue
		}
		if mac := net.HardwareAddr(frame[:6]).String(); mac != "01:00:5e:00:00:12" {
			t.Errorf("sent to %s, want the group's 01:00:5e:00:00:12", mac)
		}
		if tos := frame[15]; tos != 0xc0 {
			t.Errorf("type of service %#x, want 0xc0", tos)
		}
		break
	}
	within(t, a.ns, func() error {
		igmp, err := os.ReadFile("/proc/thread-self/net/igmp")
		if !strings.Contains(string(igmp), "120000E0") {
			t.Errorf("ens160 has not joined 224.0.0.18:\n%s", igmp)
		}
		return err
	})
}

// Over an ipvlan device adverts from its own Ethernet address are this machine's: they came from
// another device over the interface.
func TestLinkOverIpvlan(t *testing.T) {
	a, b := twoHosts(t)
	must(t, a.handle.LinkSetHardwareAddr(a.dev, b.dev.Attrs().HardwareAddr))
	from := b.open(t, 51)
	var to *Link
	within(t, a.ns, func() (err error) {
		to, err = OpenLink(LinkConfig{Interface: "ens160", VRID: 51, Source: a.addr, Ipvlan: true}, discard())
		return err
	})
	t.Cleanup(func() { to.Close() })
	must(t, from.Send(seedAdvert(51, 100)))
	other, err := net.ParseMAC("02:00:00:00:00:99")
	must(t, err)
	must(t, b.handle.LinkSetHardwareAddr(b.dev, other))
	must(t, from.Send(seedAdvert(51, 90)))
	if p := receive(t, to); p.Advertisement.Priority != 90 {
		t.Errorf("got %+v, want the advert from another Ethernet address", p)
	}
}

// An interface that was deleted and created again: the old sockets are bound to the old
// interface, and after Reopen the same Link sends and receives on the new one.
func TestLinkReopen(t *testing.T) {
	a, b := twoHosts(t)
	at := a.open(t, 51)
	must(t, a.handle.LinkDel(a.dev))
	within(t, a.ns, func() error {
		if err := at.Reopen(); err == nil {
			t.Error("no error where there is no interface")
		}
		return nil
	})
	join(t, a, b)
	if err := at.Send(seedAdvert(51, 100)); err == nil {
		t.Fatal("sent by an interface that is gone")
	}
	within(t, a.ns, at.Reopen)
	other := b.open(t, 51)
	must(t, at.Send(seedAdvert(51, 100)))
	if p := receive(t, other); p.Err != nil || p.Source != a.addr {
		t.Errorf("the other got %+v, want the advert of %s", p, a.addr)
	}
	must(t, other.Send(seedAdvert(51, 90)))
	if p := receive(t, at); p.Err != nil || p.Source != b.addr {
		t.Errorf("got %+v, want the advert of %s", p, b.addr)
	}
	must(t, at.Close())
	within(t, a.ns, at.Reopen) // closed stays closed
	if err := at.Send(seedAdvert(51, 100)); err == nil {
		t.Error("sent after Close")
	}
}

func TestLinkUnicast(t *testing.T) {
	a, b := twoHosts(t)
	from, to := a.open(t, 51, b.addr), b.open(t, 51, a.addr)
	must(t, from.Send(seedAdvert(51, 100)))
	p := receive(t, to)
	if p.Err != nil || p.Source != a.addr || p.MAC.String() != a.mac() || p.TTL != 255 || p.Multicast {
		t.Errorf("got %+v, want source %s, MAC %s, TTL 255, unicast", p, a.addr, a.mac())
	}
}

// TestLinkUnicastPartly: where adverts cannot be sent to one peer, the others still get
// them; where they can be sent to none, Send fails.
func TestLinkUnicastPartly(t *testing.T) {
	a, b := twoHosts(t)
	// The socket is bound to a device, so that the kernel takes an address without a
	// route for a neighbour on it: only a prohibit route makes sending fail.
	nowhere := netip.MustParseAddr("10.9.9.9")
	must(t, a.handle.XfrmPolicyAdd(&netlink.XfrmPolicy{
		Dir: netlink.XFRM_DIR_OUT, Action: netlink.XFRM_POLICY_BLOCK,
		Src: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
		Dst: &net.IPNet{IP: nowhere.AsSlice(), Mask: net.CIDRMask(32, 32)},
	}))
	to := b.open(t, 51, a.addr)
	must(t, a.open(t, 51, nowhere, b.addr).Send(seedAdvert(51, 100)))
	if p := receive(t, to); p.Advertisement.Priority != 100 {
		t.Errorf("got %+v", p)
	}
	err := a.open(t, 51, nowhere).Send(seedAdvert(51, 100))
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "send advert to 10.9.9.9") {
		t.Errorf("got %v, want operation not permitted", err)
	}
}

// TestLinkForeign: a packet for another address is not delivered, although the packet
// socket sees it. A broken advert is delivered, so that it is counted.
func TestLinkForeign(t *testing.T) {
	a, b := twoHosts(t)
	stranger := netip.MustParseAddr("192.168.25.99")
	must(t, a.handle.NeighAdd(&netlink.Neigh{
		LinkIndex: a.dev.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: stranger.AsSlice(), HardwareAddr: b.dev.Attrs().HardwareAddr,
	}))
	to := b.open(t, 51, a.addr)
	must(t, a.open(t, 51, stranger).Send(seedAdvert(51, 200)))
	var conn net.PacketConn
	within(t, a.ns, func() (err error) {
		conn, err = net.ListenPacket("ip4:112", a.addr.String())
		return err
	})
	defer conn.Close()
	_, err := conn.WriteTo([]byte{0x21, 51, 100}, &net.IPAddr{IP: b.addr.AsSlice()})
	must(t, err)
	var drop *DropError
	if p := receive(t, to); !errors.As(p.Err, &drop) || drop.Reason != DropLength || p.Source != a.addr {
		t.Errorf("got %+v, want a drop for its length", p)
	}
}

// TestLinkDownUp: both Links go on after the link was down and is up again.
func TestLinkDownUp(t *testing.T) {
	a, b := twoHosts(t)
	from, to := a.open(t, 51), b.open(t, 51)
	for _, h := range []*host{a, b} {
		must(t, h.handle.LinkSetDown(h.dev))
		if h == a {
			if err := from.Send(seedAdvert(51, 100)); err == nil {
				t.Error("sent through an interface that is down")
			}
		}
		must(t, h.handle.LinkSetUp(h.dev))
		sendUntilHeard(t, from, to)
	}
}

// sendUntilHeard repeats an advert until it is received: a link that has just come up
// loses packets until it is ready.
func sendUntilHeard(t *testing.T, from, to *Link) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := from.Send(seedAdvert(51, 100))
		select {
		case <-to.Received():
			return
		case <-again.C:
		case <-deadline:
			t.Fatalf("nothing heard 5 s after the link came up; the last send: %v", err)
		}
	}
}

func TestOpenLinkRefuses(t *testing.T) {
	a, _ := twoHosts(t)
	tests := []struct {
		name string
		cfg  LinkConfig
		want string
	}{
		{"no interface", LinkConfig{Interface: "ens999", Source: a.addr},
			`vrrp on "ens999": route ip+net: no such network interface`},
		{"not its address", LinkConfig{Interface: "ens160", Source: netip.MustParseAddr("192.168.25.77")},
			`vrrp sender on "ens160" from 192.168.25.77: listen ip4:112 192.168.25.77: bind: cannot assign requested address`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			within(t, a.ns, func() error {
				if _, err := OpenLink(tt.cfg, discard()); err == nil || err.Error() != tt.want {
					t.Errorf("got  %v\nwant %s", err, tt.want)
				}
				return nil
			})
		})
	}
}

// TestLinkClose: Close ends the reader even while nobody takes packets from Received.
func TestLinkClose(t *testing.T) {
	a, b := twoHosts(t)
	from, to := a.open(t, 51), b.open(t, 51)
	for range receiveQueue + 10 {
		must(t, from.Send(seedAdvert(51, 100)))
	}
	receive(t, to) // the reader runs, and Received is full
	must(t, to.Close())
	must(t, to.Close())
	if err := to.Send(seedAdvert(51, 100)); err == nil {
		t.Error("sent through a closed link")
	}
}
