package dataplane

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"weir/lvs"
	"weir/test/bench/floor"
)

// everyScheduler is what the data plane has, in the order of the table.
var everyScheduler = []lvs.Scheduler{
	lvs.RoundRobin, lvs.WeightedRoundRobin, lvs.DestinationHash, lvs.SourceHash, lvs.MaglevHash,
	lvs.LeastConnection, lvs.WeightedLeastConnection, lvs.ShortestExpectedDelay, lvs.NeverQueue,
	lvs.WeightedFailover, lvs.WeightedOverflow, lvs.PowerOfTwoChoices, lvs.Locality, lvs.LocalityReplicated,
}

// BenchmarkNew is `bench new`: packets that each begin a connection, with every
// scheduler, and with a few servers and with many. The table has room for them all
// to be half open.
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{2, 64, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			withFloor(b, tableFor(1<<19), manyServers(lvs.RoundRobin, n), func(m *meter) {
				m.sweepEach(b) // older tables have no connections
				m.fresh(b, "new_c40", nil)
				for _, s := range everyScheduler {
					m.set(b, manyServers(s, n))
					m.fresh(b, string(s), nil)
				}
			})
		})
	}
}

// BenchmarkLive is `bench live`: the same beside connections that are there already.
func BenchmarkLive(b *testing.B) {
	for _, live := range []int{1, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(live), func(b *testing.B) {
			withFloor(b, tableFor(max(1<<19, 2*live)), manyServers(lvs.RoundRobin, 64), func(m *meter) {
				others := func() {
					if err := m.floor.Connect(netip.AddrPortFrom(vip4, 80), live); err != nil {
						b.Fatal(err)
					}
					m.each(b, floor.Flows{Count: uint32(live)}, syn(1), syn(1).with("A"))
				}
				m.fresh(b, "new_c40", others)
				for _, s := range []lvs.Scheduler{lvs.RoundRobin, lvs.WeightedLeastConnection} {
					m.set(b, manyServers(s, 64))
					m.fresh(b, string(s), others)
				}
			})
		})
	}
}

// BenchmarkPersist is `bench persist`: new connections of clients who have a
// template, and of those who do not.
func BenchmarkPersist(b *testing.B) {
	for _, n := range []int{2, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			withFloor(b, tableFor(1<<19), manyServers(lvs.RoundRobin, n), func(m *meter) {
				m.fresh(b, "rr", nil)
				plan := manyServers(lvs.RoundRobin, n)
				plan.Services[0].Persistence = lvs.Persistence{Timeout: time.Hour}
				m.set(b, plan)
				m.fresh(b, "known", nil)
				m.fresh(b, "unknown", nil)
			})
		})
	}
}

// fresh measures packets that each begin a connection of a flow of its own. The
// flows of the connections that are there already come before them. It runs once
// before: whoever touches memory first pays for it.
func (m *meter) fresh(b *testing.B, name string, others func()) {
	b.Run(name, func(b *testing.B) {
		m.ns.Do(func() {
			m.disconnect(b)
			live := 0
			program, flows := m.xdp, floor.Flows{Count: 1 << 31, Scattered: name == "unknown"}
			if name == "new_c40" {
				program = m.floor.NewC40()
			}
			m.repeat(b, program, syn(1).bytes(), flows, 3, b.N)
			m.disconnect(b)
			if others != nil && b.N > 1 { // the first run only finds out that it works
				others()
				live = m.load(b)
			}
			flows.First = uint32(live)
			spent := m.repeat(b, program, syn(1).bytes(), flows, 3, b.N)
			if got := m.load(b) - live; program == m.xdp && got != b.N {
				b.Fatalf("%d connections were begun, want %d", got, b.N)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(spent)/float64(b.N), "ns/packet")
		})
	})
}

// disconnect forgets all connections, the floor's, too.
func (m *meter) disconnect(b *testing.B) {
	b.Helper()
	m.forget(b)
	if err := m.floor.Disconnect(); err != nil {
		b.Fatal(err)
	}
}

// manyServers is a service of n servers, 10.1.0.0 and on. For ovf a weight is how
// many connections a server may have.
func manyServers(s lvs.Scheduler, n int) lvs.Plan {
	weight := 1
	if s == lvs.WeightedOverflow {
		weight = 1 << 20
	}
	var servers []lvs.RealServer
	for i := range n {
		servers = append(servers, real(fmt.Sprintf("10.1.%d.%d", i>>8, i&255), weight))
	}
	return planOf(virtual(lvs.TCP, vip4, s, servers...))
}
