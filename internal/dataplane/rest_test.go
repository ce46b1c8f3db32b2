package dataplane

import (
	"testing"
	"time"

	"weir/lvs"
)

// TestRestAsksForNoServer has the kernel asked for the neighbours alone where nothing has
// changed: one router, however many servers are behind it. It is asked for all next hops anew
// where a server, or the neighbour's address, has changed, or after a minute.
func TestRestAsksForNoServer(t *testing.T) {
	behind := func(weight int, more ...lvs.RealServer) lvs.Plan {
		return planOf(virtual(lvs.TCP, vip4, lvs.WeightedRoundRobin,
			append(more, real("198.51.100.11", weight), real("198.51.100.12", 1), real("198.51.100.13", 1))...))
	}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		b.ns.Batch("route add 198.51.100.0/24 via 192.0.2.12", "neigh replace 192.0.2.12 lladdr "+directorMAC+" dev eth0 nud permanent")
		b.set(t, behind(1))
		asked := func() bool {
			before := b.resolved.at
			b.confirm()
			return b.resolved.at != before
		}
		for _, step := range []struct {
			name string
			do   func()
			asks bool
		}{
			{"the first time", func() {}, true},
			{"nothing has changed", func() { b.resolve() }, false},
			{"still nothing", func() {}, false},
			{"a weight", func() { b.set(t, behind(2)) }, false},
			{"a server", func() { b.set(t, behind(2, real("198.51.100.14", 1))) }, true},
			{"nothing more", func() { b.resolve() }, false},
			{"a neighbour's address", func() {
				b.ns.Batch("neigh replace 192.0.2.12 lladdr " + clientMAC + " dev eth0 nud permanent")
			}, true},
			{"its hop was written", func() { b.resolve() }, false},
			{"a minute has passed", func() { b.resolved.at = time.Now().Add(-resolveEvery - unaskedShare*b.resolved.took) }, true},
		} {
			step.do()
			if got := asked(); got != step.asks {
				t.Errorf("%s: the kernel is asked for all servers: %t, want %t", step.name, got, step.asks)
			}
		}
		if all, missing := b.services.Neighbours(); len(all) != 1 || missing {
			t.Errorf("neighbours %v, some missing: %t; want the router alone", all, missing)
		}
	})
}
