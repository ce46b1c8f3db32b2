package cluster

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
	"weir/vrrp"
)

var (
	hostileTime = flag.Duration("hostile-time", 6*time.Second, "how long TestHostileNeighbour sends; 60s is the long form")
	hostileRate = flag.Int("hostile-rate", 2000, "how many frames it sends a second")
	hostileSeed = flag.Uint64("hostile-seed", 1, "what their order follows from")
)

// A neighbour sends whatever VRRP, ARP, ND and ICMP there is: valid, forged, replayed and
// broken; and then as many of a few kinds alone (floods). The master stays the master, its
// session of BFD stays up, no client is refused, and what weir keeps and logs of it
// is bounded. What no director can tell from a machine's own words is not among it: frames
// with another machine's Ethernet address, and advertisements of a higher priority with the
// password.
func TestHostileNeighbour(t *testing.T) {
	c := start(t, withBFD)
	nstest.WaitFor(t, "the session of BFD is up", c.sessionUp)
	c.waitVIP(c.node01)
	c.waitHeard(c.node01)
	for _, n := range c.Nodes() { // and tells nothing of its own any more
		for _, of := range c.Nodes() {
			_, err := n.Wait(c.within(10*time.Second), "first check", lab.IsFirstCheck(of.Service()))
			c.must(err)
		}
	}
	h := newHostile(c)
	h.send(2 * time.Second) // what is allocated and told once, is by now
	memory, lines, begun := h.memory(), h.lines(), time.Now()
	h.wantUndisturbed("everything", *hostileTime)
	h.floods(*hostileTime / 3)
	took := time.Since(begun)
	for i, now := range h.lines() {
		if n := now - lines[i]; n > int(took.Seconds())+1 {
			t.Errorf("%s logged %d lines in %s", c.Nodes()[i].Spec.Name, n, took)
		}
	}
	for i, now := range h.memory() {
		t.Logf("%s: %.1f MB, %.1f MB before", c.Nodes()[i].Spec.Name, now, memory[i])
		if now > memory[i]+24 {
			t.Errorf("%s grew from %.1f to %.1f MB", c.Nodes()[i].Spec.Name, memory[i], now)
		}
	}
}

// hostile is a machine on the client's cable that wishes ill.
type hostile struct {
	c        *cluster
	random   *rand.Rand
	fd       int
	device   int
	kinds    []func() []byte
	node     [2][]byte // Ethernet addresses
	nodeAddr [2]netip.Addr
	vip      netip.Addr
}

func newHostile(c *cluster) *hostile {
	h := &hostile{c: c, random: rand.New(rand.NewPCG(*hostileSeed, 1)), vip: netip.MustParseAddr("192.168.25.100")}
	for i, n := range []*lab.Node{c.node01, c.node02} {
		mac, err := n.Namespace().MAC("ens160")
		c.must(err)
		h.node[i], h.nodeAddr[i] = mac, n.Spec.Addr.Addr()
	}
	c.must(c.Client().Do(func() (err error) {
		if h.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		device, err := net.InterfaceByName("ens160")
		if err != nil {
			return err
		}
		h.device = device.Index
		return nil
	}))
	c.t.Cleanup(func() { unix.Close(h.fd) })
	h.kinds = append(append(h.adverts(), h.brokenAdverts()...), append(h.neighbours(), h.icmp()...)...)
	return h
}

// send sends frames for a time, and says how many.
func (h *hostile) send(d time.Duration) (sent int) {
	begun, to := time.Now(), &unix.SockaddrLinklayer{Ifindex: h.device}
	for time.Since(begun) < d {
		for due := int(time.Since(begun).Seconds() * float64(*hostileRate)); sent < due; sent++ {
			frame := h.kinds[h.random.IntN(len(h.kinds))]()
			_ = unix.Sendto(h.fd, frame, 0, to) // a full queue drops it
		}
		time.Sleep(time.Millisecond)
	}
	return sent
}

// memory is the resident memory of both weirs, in MB; lines are those that they have logged.
func (h *hostile) memory() (mb []float64) {
	for _, n := range h.c.Nodes() {
		mb = append(mb, statusOf(h.c.t, n.Weir().Pid(), "VmRSS:"))
	}
	return mb
}

func (h *hostile) lines() (count []int) {
	for _, n := range h.c.Nodes() {
		text, err := os.ReadFile(n.Log.Path())
		h.c.must(err)
		count = append(count, bytes.Count(text, []byte("\n")))
	}
	return count
}

// mac is a sender's Ethernet address: one of 64, or any.
func (h *hostile) mac() []byte {
	b := []byte{2, 0xbd, 0, 0, 0, byte(h.random.IntN(64))}
	if h.random.IntN(8) == 0 {
		binary.BigEndian.PutUint32(b[2:], h.random.Uint32())
	}
	return b
}

// addr is an address of the network that no machine has.
func (h *hostile) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, 25, byte(150 + h.random.IntN(100))})
}

// garbage is up to so many random bytes.
func (h *hostile) garbage(most int) []byte {
	b := make([]byte, h.random.IntN(most+1))
	for i := range b {
		b[i] = byte(h.random.Uint32())
	}
	return b
}

// ethernet is a frame; without a destination it is a broadcast.
func (h *hostile) ethernet(to []byte, kind uint16, payload []byte) []byte {
	if to == nil {
		to = bytes.Repeat([]byte{0xff}, 6)
	}
	frame := append(append([]byte{}, to...), h.mac()...)
	return append(binary.BigEndian.AppendUint16(frame, kind), payload...)
}

var multicastVRRP = []byte{0x01, 0x00, 0x5e, 0, 0, 18}

// ip4 is an IPv4 packet.
func ip4(from, to netip.Addr, protocol, ttl byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, ttl, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], onesComplement(b))
	return append(b, payload...)
}

func onesComplement(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// advert is the seed's own, edited.
func (h *hostile) advert(edit func(*vrrp.Advertisement)) []byte {
	a := vrrp.Advertisement{VRID: 51, Priority: 254, Interval: time.Second, Auth: vrrp.Password("1111"), VIPs: []netip.Addr{h.vip}}
	edit(&a)
	b, err := a.MarshalBinary()
	h.c.must(err)
	return b
}

// says is an advertisement in a frame.
func (h *hostile) says(from netip.Addr, ttl byte, b []byte) []byte {
	return h.ethernet(multicastVRRP, unix.ETH_P_IP, ip4(from, vrrp.Group4(), vrrp.Protocol, ttl, b))
}

// adverts are well-formed: valid, of somebody else's router, or forged without the password.
func (h *hostile) adverts() (kinds []func() []byte) {
	for _, edit := range []func(*vrrp.Advertisement){
		func(a *vrrp.Advertisement) { a.Priority = 1 },
		func(a *vrrp.Advertisement) { a.Priority = byte(1 + h.random.IntN(40)) },
		func(a *vrrp.Advertisement) { a.Auth = vrrp.Password("wrong") },
		func(a *vrrp.Advertisement) { a.Auth = vrrp.Authentication{} },
		func(a *vrrp.Advertisement) { a.Auth.Type = vrrp.AuthHeader },
		func(a *vrrp.Advertisement) { a.VRID = byte(52 + h.random.IntN(200)) },
		func(a *vrrp.Advertisement) { a.VRID = 0 },
		func(a *vrrp.Advertisement) { a.Interval = 7 * time.Second },
		func(a *vrrp.Advertisement) { a.VIPs = []netip.Addr{h.addr()} },
		func(a *vrrp.Advertisement) { a.VIPs = nil },
		func(a *vrrp.Advertisement) { a.Priority, a.Auth = 0, vrrp.Password("wrong") },
		func(a *vrrp.Advertisement) { a.Priority, a.Auth = 255, vrrp.Password("wrong") },
	} {
		kinds = append(kinds, func() []byte { return h.says(h.addr(), vrrp.TTL, h.advert(edit)) })
	}
	return append(kinds, // replays of what the master says
		func() []byte {
			return h.says(h.nodeAddr[0], vrrp.TTL, h.advert(func(a *vrrp.Advertisement) { a.Priority = 100 }))
		},
		func() []byte { // by unicast, to each of them
			packet := ip4(h.addr(), h.nodeAddr[0], vrrp.Protocol, vrrp.TTL, h.advert(func(*vrrp.Advertisement) {}))
			return h.ethernet(h.node[0], unix.ETH_P_IP, packet)
		},
		func() []byte {
			packet := ip4(h.addr(), h.nodeAddr[1], vrrp.Protocol, vrrp.TTL, h.advert(func(*vrrp.Advertisement) {}))
			return h.ethernet(h.node[1], unix.ETH_P_IP, packet)
		},
	)
}

// brokenAdverts are such as nobody may send.
func (h *hostile) brokenAdverts() []func() []byte {
	whole := func() []byte { return h.advert(func(*vrrp.Advertisement) {}) }
	broken := func(edit func(b []byte) []byte) func() []byte {
		return func() []byte { return h.says(h.addr(), vrrp.TTL, edit(whole())) }
	}
	return []func() []byte{
		func() []byte { return h.says(h.addr(), byte(h.random.IntN(vrrp.TTL)), whole()) },
		broken(func(b []byte) []byte { b[6]++; return b }),                                 // its checksum
		broken(func(b []byte) []byte { b[0] = 0x31; return b }),                            // version 3
		broken(func(b []byte) []byte { b[0] = 0x22; return b }),                            // type 2
		broken(func(b []byte) []byte { b[3] = 255; return b }),                             // 255 VIPs
		broken(func(b []byte) []byte { return b[:h.random.IntN(len(b))] }),                 // cut short
		broken(func(b []byte) []byte { return append(append(b, 1), h.garbage(1300)...) }),  // and too long
		broken(func([]byte) []byte { return h.garbage(200) }),                              // anything
		func() []byte { f := h.says(h.addr(), vrrp.TTL, whole()); f[14] = 0x4f; return f }, // options that are not there
		func() []byte { f := h.says(h.addr(), vrrp.TTL, whole()); f[20] = 0x20; return f }, // a first fragment
		func() []byte { return h.ethernet(multicastVRRP, unix.ETH_P_IP, h.garbage(60)) },
	}
}

// neighbours are ARP and ND. Claims go to the directors alone: a client believes them.
func (h *hostile) neighbours() []func() []byte {
	arp := func(operation byte, sender netip.Addr, target netip.Addr) []byte {
		b := append([]byte{0, 1, 8, 0, 6, 4, 0, operation}, h.mac()...)
		b = append(append(b, sender.AsSlice()...), make([]byte, 6)...)
		return append(b, target.AsSlice()...)
	}
	zero := netip.IPv4Unspecified()
	nd := func(kind, hops byte, more []byte) []byte {
		payload := append([]byte{kind, 0, 0, 0, 0x20, 0, 0, 0}, more...)
		b := append([]byte{0x60, 0, 0, 0, 0, byte(len(payload)), 58, hops, 0xfe, 0x80}, make([]byte, 30)...)
		b[23], b[24], b[25], b[39] = 0x66, 0xff, 0x02, 1 // from fe80::66 to ff02::1
		return append(b, payload...)
	}
	everybody := []byte{0x33, 0x33, 0, 0, 0, 1}
	return []func() []byte{
		func() []byte { return h.ethernet(nil, unix.ETH_P_ARP, arp(1, h.addr(), h.vip)) },
		func() []byte { return h.ethernet(nil, unix.ETH_P_ARP, arp(1, zero, h.vip)) }, // a probe
		func() []byte { return h.ethernet(h.node[0], unix.ETH_P_ARP, arp(1, h.vip, h.vip)) },
		func() []byte { return h.ethernet(h.node[0], unix.ETH_P_ARP, arp(2, h.vip, h.vip)) },
		func() []byte {
			return h.ethernet(nil, unix.ETH_P_ARP, arp(byte(h.random.Uint32()), h.addr(), h.addr()))
		},
		func() []byte { return h.ethernet(nil, unix.ETH_P_ARP, arp(1, h.addr(), h.vip)[:h.random.IntN(28)]) },
		func() []byte { return h.ethernet(everybody, unix.ETH_P_IPV6, nd(136, 255, h.garbage(40))) },
		func() []byte { return h.ethernet(everybody, unix.ETH_P_IPV6, nd(135, 255, h.garbage(40))) },
		func() []byte { return h.ethernet(everybody, unix.ETH_P_IPV6, nd(134, 1, h.garbage(40))) },
	}
}

// icmp are errors about packets that nobody has sent, and what is no ICMP.
func (h *hostile) icmp() (kinds []func() []byte) {
	for _, kind := range [][2]byte{{3, 1}, {3, 3}, {3, 4}, {5, 1}, {11, 0}, {12, 0}} {
		kinds = append(kinds, func() []byte {
			about := ip4(h.vip, h.addr(), unix.IPPROTO_TCP, 64, append([]byte{0, 80, 0xc0, byte(h.random.Uint32())}, h.garbage(16)...))
			b := append([]byte{kind[0], kind[1], 0, 0, 0, 0, 0, 68}, about...)
			binary.BigEndian.PutUint16(b[2:], onesComplement(b))
			return h.ethernet(h.node[0], unix.ETH_P_IP, ip4(h.addr(), h.vip, unix.IPPROTO_ICMP, 64, b))
		})
	}
	return append(kinds, func() []byte {
		return h.ethernet(h.node[0], unix.ETH_P_IP, ip4(h.addr(), h.vip, unix.IPPROTO_ICMP, 64, h.garbage(64)))
	})
}
