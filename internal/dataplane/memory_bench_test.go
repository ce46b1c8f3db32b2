package dataplane

import (
	"testing"

	"weir/internal/dataplane/abi"
	"weir/lvs"
	"weir/test/bench/floor"
)

// BenchmarkMemory is `bench memory`: what the default tables take of the kernel's memory at rest,
// and what connections take of it, with the index and their lines of the flow cache.
func BenchmarkMemory(b *testing.B) {
	plan := manyServers(lvs.RoundRobin, 2)
	b.Run("rest", func(b *testing.B) {
		var rest uint64
		withPlane(b, plan, func(fresh *bench) { rest = fresh.charged(b, every) })
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(rest)/(1<<20), "MiB")
	})
	withFloor(b, DefaultConnections, plan, func(m *meter) { // it has grown to the end
		const live = 1_000_000
		m.each(b, floor.Flows{Count: live}, syn(1), syn(1).with("A"))
		if got := m.load(b); got != live {
			b.Fatalf("%d connections are there, want %d", got, live)
		}
		full := float64(m.charged(b, only(abi.BpfMapConnSlots, abi.BpfMapConnIndex, abi.BpfMapFlowChunks, abi.BpfMapHalfOpenSlots)))
		m.report(b, "full", "MiB", func() float64 { return full / (1 << 20) })
		m.report(b, "dr", "bytes", func() float64 { return full / live })
	})
}
