package dataplane

import (
	"net/netip"
	"strconv"
	"testing"

	"weir/internal/dataplane/abi"
	"weir/lvs"
	"weir/test/bench/floor"
)

// BenchmarkHits is `bench hits`: packets of established flows, one flow, or one
// of many at random. One CPU gets them all, so the table is twice as large as
// it must be, for this CPU's share of the flow cache to be that of two.
func BenchmarkHits(b *testing.B) {
	for _, flows := range []int{1, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(flows), func(b *testing.B) {
			b.Run("dr", func(b *testing.B) { benchDirect(b, flows) })
			b.Run("nat", func(b *testing.B) { benchNAT(b, flows) })
			b.Run("tun", func(b *testing.B) { benchTunnel(b, flows) })
		})
	}
}

var otherVIP = netip.MustParseAddr("192.0.2.101")

var ask6 = frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:1::9]:1", to: "[2001:db8::100]:80", proto: "tcp"}

func benchDirect(b *testing.B, flows int) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 2)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1), real("2001:db8::12", 2)))
	withFloor(b, tableFor(2*flows), plan, func(m *meter) {
		if err := m.floor.Connect(netip.AddrPortFrom(vip4, 80), flows); err != nil {
			b.Fatal(err)
		}
		ack, notOurs := syn(1).with("A").bytes(), syn(1).with("A").bytes()
		notOurs[33] = 1 // 192.0.2.1, which has no service
		known := floor.Flows{Count: uint32(flows), ByLot: true}
		m.run(b, "empty/xdp", m.floor.EmptyXDP(), ack, known, 3)
		m.run(b, "empty/tc", m.floor.EmptyTC(), ack, known, 7)
		m.hit(b, "dr40/xdp", m.floor.DR40(), ack, known, 3)
		m.establish(b, flows, syn(1))
		m.hit(b, "pass/xdp", m.xdp, notOurs, known, 2)
		m.hit(b, "pass/tc", m.tc, notOurs, known, ^uint32(0))
		egress := m.wrapped(b, abi.BpfProgWeirEgress)
		m.hit(b, "pass/egress", egress, notOurs, known, ^uint32(0))
		m.from = m.index
		m.hit(b, "forwarded/egress", egress, notOurs, known, ^uint32(0))
		m.from = 0
		m.hit(b, "ip4/xdp", m.xdp, ack, known, 3)
		m.hit(b, "ip4/tc", m.tc, ack, known, 7)
		m.forget(b)
		m.establish(b, flows, ask6)
		m.hit(b, "ip6/xdp", m.xdp, ask6.with("A").bytes(), known, 3)
		m.hit(b, "ip6/tc", m.tc, ask6.with("A").bytes(), known, 7)
	})
}

// benchNAT has a larger table, since NAT takes two entries, and two lines, for a flow.
// It measures direct routing there, too: larger memory is slower memory.
func benchNAT(b *testing.B, flows int) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)),
		virtual(lvs.TCP, otherVIP, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 2)))
	withFloor(b, tableFor(4*flows), plan, func(m *meter) {
		ask, direct := syn(1), syn(1)
		direct.to = netip.AddrPortFrom(otherVIP, 80).String()
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp", flags: "A"}
		known := floor.Flows{Count: uint32(flows), ByLot: true}
		answers := floor.Flows{Count: uint32(flows), ByLot: true, ToClient: true}
		m.establish(b, flows, direct)
		m.hit(b, "dr/xdp", m.xdp, direct.with("A").bytes(), known, 3)
		m.hit(b, "dr/tc", m.tc, direct.with("A").bytes(), known, 7)
		m.forget(b)
		m.establish(b, flows, ask, answer)
		m.hit(b, "in/xdp", m.xdp, ask.with("A").bytes(), known, 3)
		m.hit(b, "in/tc", m.tc, ask.with("A").bytes(), known, 7)
		m.hit(b, "out/xdp", m.xdp, answer.bytes(), answers, 3)
		m.hit(b, "out/tc", m.tc, answer.bytes(), answers, 7)
	})
}

// benchTunnel has no place at tc: there an skb is put into a tunnel only once, but a
// run has one skb for all its packets.
func benchTunnel(b *testing.B, flows int) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, tunnelled("192.0.2.11"), tunnelled("192.0.2.12")))
	withFloor(b, tableFor(2*flows), plan, func(m *meter) {
		if err := m.floor.Connect(netip.AddrPortFrom(vip4, 80), flows); err != nil {
			b.Fatal(err)
		}
		ack := syn(1).with("A").bytes()
		known := floor.Flows{Count: uint32(flows), ByLot: true}
		m.hit(b, "ipip40/xdp", m.floor.IPIP40(), ack, known, 3)
		m.establish(b, flows, syn(1))
		m.hit(b, "ip4/xdp", m.xdp, ack, known, 3)
	})
}

// establish opens so many connections, and gives each a line of the flow cache, and
// its answers another, if it has some.
func (m *meter) establish(b *testing.B, flows int, ask frame, answers ...frame) {
	b.Helper()
	m.each(b, floor.Flows{Count: uint32(flows)}, append([]frame{ask.with("S"), ask.with("A")}, answers...)...)
	if err := m.conns.Sweep(false); err != nil { // which sets for how long a line is good
		b.Fatal(err)
	}
	if m.conns.Live() != flows {
		b.Fatalf("%d connections are live, want %d", m.conns.Live(), flows)
	}
}
