package dataplane

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// wantExpiryEntries expects each connection to have an expiry entry of its own with its
// server and no later time than its end, and no expiry entry to be without a connection.
func (b *bench) wantExpiryEntries(t testing.TB) {
	t.Helper()
	taken := map[uint32]abi.ExpiryEntry{}
	place := uint32(0)
	b.eachExpiryEntry(t, func(c *abi.ExpiryEntry) {
		place++
		if c.Taken != 0 {
			taken[place] = *c
		}
	})
	for key, c := range b.everyConn(t) {
		state := abi.BpfConnState(c.Word >> 32 & 15)
		entry, ok := taken[c.Place()]
		if state == abi.BpfConnStateSTATE_REPLY && c.Place() == 0 {
			continue
		}
		delete(taken, c.Place())
		var limit uint32
		if err := b.maps.Timeouts.Lookup(uint32(state), &limit); err != nil {
			t.Fatal(err)
		}
		switch end := c.Stamp + limit + 1; {
		case !ok || entry.Key != key:
			t.Errorf("connection %v says that its expiry entry is %d, which is %v", key, c.Place(), entry)
		case entry.Taken != uint32(c.Word)+1:
			t.Errorf("connection %v has server %d, its expiry entry %d", key, uint32(c.Word), int(entry.Taken)-1)
		case int32(entry.Due-end) > 0:
			t.Errorf("connection %v may be over in tick %d, but its expiry entry says %d", key, end, entry.Due)
		}
	}
	for place, entry := range taken {
		t.Errorf("expiry entry %d is taken for %v, which is no connection", place, entry)
	}
}

// An expiry entry follows its connection through every state, and to another server.
func TestCardFollowsItsConnection(t *testing.T) {
	for _, plan := range []lvs.Plan{
		twoServers(lvs.RoundRobin),
		planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 80), masqueraded("192.0.2.12", 80))),
	} {
		t.Run(string(plan.Services[0].RealServers[0].Method), func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for _, flags := range []string{"S", "A", "AF", "A", "S", "A", "R", "S"} {
					b.send(t, places[0], syn(1).with(flags), back)
					b.wantExpiryEntries(t)
				}
				b.sweepUntil(t, 1)
				b.wantExpiryEntries(t)
				b.goBy(t, ticks(59*time.Second)) // of SYN_RECV's 60
				b.sweepUntil(t, 1)
				b.goBy(t, ticks(2*time.Second))
				b.sweepUntil(t, 0)
				b.wantExpiryEntries(t)
			})
		})
	}
}

// A connection that its packet ends (here since its server has left) has its expiry entry no more.
func TestCardIsGivenBack(t *testing.T) {
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
		b.wantExpiryEntries(t)
		b.sweepUntil(t, 1)
	})
}

// A connection that is used stays, though its expiry entry is due: the entry gets a new time.
func TestCardIsPutOff(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for range 5 {
			for _, flags := range []string{"S", "A", "A"} {
				b.send(t, places[0], syn(1).with(flags), back)
			}
			b.goBy(t, ticks(600*time.Second)) // of 900
			b.sweepUntil(t, 1)
			b.wantExpiryEntries(t)
		}
		b.goBy(t, ticks(301*time.Second))
		b.sweepUntil(t, 0)
	})
}

// What left no word of its end (a packet that was stopped between two steps) leaves an
// entry without a connection: it is free after two sweeps, since the first may have
// met it before its connection was entered.
func TestLostExpiryEntry(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back)
		entry := b.conn(t, syn(1))
		if err := b.table().Delete(syn(1).key()); err != nil {
			t.Fatal(err)
		}
		b.sweepEach(t)
		if err := b.table().Put(syn(1).key(), entry); err != nil {
			t.Fatal(err)
		}
		b.sweepEach(t)
		b.wantExpiryEntries(t)
		if err := b.table().Delete(syn(1).key()); err != nil {
			t.Fatal(err)
		}
		b.sweepEach(t)
		b.sweepEach(t)
		b.wantExpiryEntries(t)
	})
}

// sweepEach looks at what is not due, too.
func (b *bench) sweepEach(t testing.TB) {
	t.Helper()
	if err := b.conns.Sweep(true); err != nil {
		t.Fatal(err)
	}
}

// Every connection that the table can hold has an expiry entry, and where they are few again
// there are few entries to go through.
func TestCardsGrowWithTheTable(t *testing.T) {
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
		b.wantExpiryEntries(t)
		b.goBy(t, ticks(time.Hour))
		b.sweepUntil(t, 0)
		b.wantExpiryEntries(t)
		b.sweepUntil(t, 0)
		b.send(t, places[0], syn(1), back)
		b.sweepUntil(t, 1)
		if b.conns.Span() > abi.SpanLeast || few > abi.SpanLeast {
			t.Errorf("%d expiry entries are gone through for one connection, and %d were for none, want at most %d", b.conns.Span(), few, abi.SpanLeast)
		}
		if got := int(entry[abi.BpfConnSizes](b.maps.ConnSizes, uint32(0)).Entries); got < size {
			t.Errorf("%d expiry entries for %d connections", got, size)
		}
	})
}

// Where the expiry entries are to be fewer, those that were taken among the many before that was
// said are swept, too.
func TestCardsTakenBeforeTheirRangeShrinks(t *testing.T) {
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
		b.wantExpiryEntries(t)
	})
}

// A connection that has ended in one program is not ended again by the sweep.
func TestSweepLeavesWhatIsGone(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back)
		c := b.conn(t, syn(1))
		c.Word = c.Word&^(15<<32) | uint64(abi.BpfConnStateSTATE_GONE)<<32
		c.Stamp -= ticks(time.Hour)
		if err := b.table().Put(syn(1).key(), c); err != nil {
			t.Fatal(err)
		}
		b.sweepEach(t)
		var still abi.BpfConn
		if err := b.table().Lookup(syn(1).key(), &still); errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Error("the sweep has deleted what another program was about to")
		}
	})
}
