package dataplane

import (
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// wantDue expects each connection to be due no later than its end.
func (b *bench) wantDue(t testing.TB) {
	t.Helper()
	for key, c := range b.everyConn(t) {
		state, _, _ := c.Read()
		var limit uint32
		if err := b.maps.Timeouts.Lookup(uint32(state), &limit); err != nil {
			t.Fatal(err)
		}
		if end := c.Stamp + limit + 1; int32(c.Due-end) > 0 {
			t.Errorf("connection %v may be over in tick %d, but is due in %d", key, end, c.Due)
		}
	}
}

// A slot tells when its connection may expire through every state, and to another server.
func TestSlotFollowsItsConnection(t *testing.T) {
	for _, plan := range []lvs.Plan{
		twoServers(lvs.RoundRobin),
		planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 80), masqueraded("192.0.2.12", 80))),
	} {
		t.Run(string(plan.Services[0].RealServers[0].Method), func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for _, flags := range []string{"S", "A", "AF", "A", "S", "A", "R", "S"} {
					b.send(t, places[0], syn(1).with(flags), back)
					b.wantDue(t)
				}
				b.sweepUntil(t, 1)
				b.wantDue(t)
				b.goBy(t, ticks(59*time.Second)) // of SYN_RECV's 60
				b.sweepUntil(t, 1)
				b.goBy(t, ticks(2*time.Second))
				b.sweepUntil(t, 0)
				b.wantDue(t)
			})
		})
	}
}

// A connection that its packet ends (here since its server has left) has no slot any more.
func TestSlotIsGivenBack(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for port := range 2 {
			b.send(t, places[0], syn(port), back)
			b.send(t, places[0], syn(port).with("A"), back)
		}
		fewer := without(twoServers(lvs.RoundRobin), 1)
		b.set(t, fewer)
		fewer.Services[0].Rules.ExpireNoDest = true
		b.set(t, fewer)
		for port := range 2 {
			if _, _, err := places[0].run(b, syn(port).with("A").bytes()); err != nil {
				t.Fatal(err)
			}
		}
		b.wantDue(t)
		b.sweepUntil(t, 1)
	})
}

// A connection that is used stays, though it is due: the slot gets a new time.
func TestSlotIsPutOff(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for range 5 {
			for _, flags := range []string{"S", "A", "A"} {
				b.send(t, places[0], syn(1).with(flags), back)
			}
			b.goBy(t, ticks(600*time.Second)) // of 900
			b.sweepUntil(t, 1)
			b.wantDue(t)
		}
		b.goBy(t, ticks(301*time.Second))
		b.sweepUntil(t, 0)
	})
}

// sweepEach looks at what is not due, too.
func (b *bench) sweepEach(t testing.TB) {
	t.Helper()
	if err := b.conns.Sweep(true); err != nil {
		t.Fatal(err)
	}
}

// Every connection that the table can hold has a slot, and where they are few again
// there are few entries to go through.
func TestSlotsAreFewerAgain(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		if err := b.conns.Sweep(false); err != nil {
			t.Fatal(err)
		}
		few := b.conns.Span()
		size := b.room()
		for i := range size {
			b.send(t, places[0], from(i, "S"), back)
			b.send(t, places[0], from(i, "A"), back)
		}
		b.sweepUntil(t, size)
		b.wantDue(t)
		b.goBy(t, ticks(time.Hour))
		b.sweepUntil(t, 0)
		b.wantDue(t)
		b.sweepUntil(t, 0)
		b.send(t, places[0], syn(1), back)
		b.sweepUntil(t, 1)
		if b.conns.Span() > abi.SpanLeast || few > abi.SpanLeast {
			t.Errorf("%d slots are gone through for one connection, and %d were for none, want at most %d", b.conns.Span(), few, abi.SpanLeast)
		}
		if got := int(entry[abi.BpfSlotSizes](b.maps.SlotSizes, uint32(0)).Slots); got < size {
			t.Errorf("%d slots for %d connections", got, size)
		}
	})
}

// Where the slots are to be fewer, those that were taken among the many before that was
// said are swept, too.
func TestSlotsTakenBeforeTheirRangeShrinks(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for i := range 20_000 {
			b.send(t, places[0], from(i, "S"), back)
			b.send(t, places[0], from(i, "A"), back)
		}
		b.goBy(t, ticks(time.Hour))
		b.sweepUntil(t, 0)
		const late = 20_000
		for i := range late {
			b.send(t, places[0], from(i, "S"), back)
			b.send(t, places[0], from(i, "A"), back)
		}
		b.sweepUntil(t, late)
		b.goBy(t, ticks(time.Hour))
		b.sweepUntil(t, 0)
		b.wantDue(t)
	})
}
