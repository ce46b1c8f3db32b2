package cluster

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/api"
	"weir/internal/bfd"
	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/vrrp"
)

// withBFD has two directors follow each other by a session of BFD.
func withBFD(o *lab.ClusterOptions) {
	for i := range o.Nodes {
		own, other := o.Nodes[i].Addr.Addr(), o.Nodes[1-i].Addr.Addr()
		session := fmt.Sprintf("bfd_instance B {\n    neighbor_ip %s\n    source_ip %s\n    min_rx 500\n    min_tx 500\n    multiplier 5\n}\n", other, own)
		o.Nodes[i].Config = session + strings.Replace(o.Nodes[i].Config, "virtual_ipaddress {", "track_bfd {\n        B\n    }\n    virtual_ipaddress {", 1)
	}
}

// sessionUp says whether the master's session of BFD is up.
func (c *cluster) sessionUp() bool {
	s, err := api.NewClient(c.node01.RunDir()).Snapshot(c.within(5 * time.Second))
	return err == nil && len(s.Sessions) == 1 && s.Sessions[0].Up
}

// floods sends frames of one kind after the other: forged packets of BFD, advertisements of 255
// addresses and of priorities that go up and down, claims of every Ethernet address to have
// the VIP.
func (h *hostile) floods(d time.Duration) {
	for _, tt := range []struct {
		name  string
		kinds []func() []byte
	}{
		{"BFD", h.bfd()},
		{"255 addresses", h.longAdverts()},
		{"claims", h.claims()},
	} {
		h.kinds = tt.kinds
		h.wantUndisturbed(tt.name, d)
	}
}

// wantUndisturbed sends frames for a time, and wants that the master stays one, its session of BFD
// stays up, and no client is refused.
func (h *hostile) wantUndisturbed(name string, d time.Duration) {
	c, t := h.c, h.c.t
	t.Helper()
	load := c.Stream(t.Context(), 100)
	defer load.Stop()
	begun := time.Now()
	sent := h.send(d)
	load.Settle()
	took := time.Since(begun)
	st := load.Stats(begun, time.Now())
	t.Logf("%s, seed %d: %d frames of %d kinds in %s: %s, machine late by %s at most; %.1f MB", name, *hostileSeed, sent, len(h.kinds), took.Round(time.Millisecond), st, lab.Seconds(load.Late()), h.memory())
	if st.Failures() > 0 {
		t.Errorf("%s: clients were refused: %s", name, st)
	}
	if !c.sessionUp() {
		t.Errorf("%s: the session of BFD is down", name)
	}
	c.wantStandby(begun)
	events, err := c.node01.Happened(c.within(5*time.Second), begun)
	c.must(err)
	for _, e := range events {
		if lab.IsKind(model.VRRPState)(e) {
			t.Errorf("%s: the master changed its state: %+v", name, e)
		}
	}
}

// bfd are packets of BFD that are not of the session: of strangers, from behind a router, of
// another session, broken. What says that it is the neighbour, comes from the link and names no
// session is not among them: without authentication nobody can tell it from the neighbour's own.
func (h *hostile) bfd() []func() []byte {
	packet := func(from netip.Addr, ttl byte, edit func(b []byte) []byte) []byte {
		b, err := bfd.Packet{
			State: bfd.State(h.random.IntN(4)), Multiplier: 3, MyDiscriminator: 1 + h.random.Uint32N(1<<31), YourDiscriminator: 1 + h.random.Uint32N(1<<31),
			DesiredMinTx: time.Second, RequiredMinRx: time.Second,
		}.MarshalBinary()
		h.c.must(err)
		b = edit(b)
		datagram := binary.BigEndian.AppendUint16(nil, uint16(49152+h.random.IntN(16384)))
		datagram = binary.BigEndian.AppendUint16(datagram, 3784)
		datagram = binary.BigEndian.AppendUint16(datagram, uint16(8+len(b)))
		datagram = append(append(datagram, 0, 0), b...) // without a checksum
		return h.ethernet(h.node[0], unix.ETH_P_IP, ip4(from, h.nodeAddr[0], unix.IPPROTO_UDP, ttl, datagram))
	}
	whole := func(b []byte) []byte { return b }
	neighbour := h.nodeAddr[1]
	return []func() []byte{
		func() []byte { return packet(h.addr(), 255, whole) },
		func() []byte {
			return packet(h.addr(), 255, func(b []byte) []byte { clear(b[8:12]); b[1] = byte(bfd.Down) << 6; return b })
		},
		func() []byte { return packet(neighbour, byte(h.random.IntN(255)), whole) },
		func() []byte { return packet(neighbour, 255, whole) },
		func() []byte { return packet(neighbour, 255, func(b []byte) []byte { b[2] = 0; return b }) },
		func() []byte { return packet(neighbour, 255, func(b []byte) []byte { b[3] = 200; return b }) },
		func() []byte { return packet(neighbour, 255, func(b []byte) []byte { b[1] |= 4; return b }) },
		func() []byte { return packet(neighbour, 255, func(b []byte) []byte { return b[:h.random.IntN(24)] }) },
		func() []byte { return packet(neighbour, 255, func([]byte) []byte { return h.garbage(400) }) },
	}
}

// longAdverts are as long as an advertisement may be, with the VIP among its addresses or without
// it, and valid ones, of priorities that go up and down below the standby's. Those of priority
// 255, whose addresses do not count (RFC 3768 section 7.1), are not among them.
func (h *hostile) longAdverts() []func() []byte {
	n := 0
	long := func(first netip.Addr) func() []byte {
		return func() []byte {
			return h.says(h.addr(), vrrp.TTL, h.advert(func(a *vrrp.Advertisement) {
				a.VIPs = []netip.Addr{first}
				for len(a.VIPs) < 255 {
					a.VIPs = append(a.VIPs, netip.AddrFrom4([4]byte{10, byte(h.random.IntN(256)), byte(n), byte(len(a.VIPs))}))
				}
				a.Priority, n = byte(1+h.random.IntN(254)), n+1
			}))
		}
	}
	return []func() []byte{
		long(h.vip), long(h.addr()),
		func() []byte {
			n++
			return h.says(h.addr(), vrrp.TTL, h.advert(func(a *vrrp.Advertisement) { a.Priority = []byte{1, 89}[n%2] }))
		},
	}
}

// claims are ARP packets of Ethernet addresses that all claim the VIP, or the addresses of the
// directors. They go to the directors alone: a client believes them.
func (h *hostile) claims() (kinds []func() []byte) {
	for i := range h.node {
		for _, claimed := range []netip.Addr{h.vip, h.nodeAddr[i]} {
			for _, operation := range []byte{1, 2} {
				kinds = append(kinds, func() []byte {
					mac := make([]byte, 6)
					binary.BigEndian.PutUint32(mac[2:], h.random.Uint32())
					mac[0] = 2
					b := append(append([]byte{0, 1, 8, 0, 6, 4, 0, operation}, mac...), claimed.AsSlice()...)
					b = append(append(b, make([]byte, 6)...), claimed.AsSlice()...)
					return h.ethernet(h.node[i], unix.ETH_P_ARP, b)
				})
			}
		}
	}
	return kinds
}
