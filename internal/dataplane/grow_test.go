package dataplane

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

// grown is for how many connections the tests below have room: in three tables, of which two are
// made while weir runs.
const grown = 1 << 20

// A flood of new connections finds room from the first to the last: none is refused, none takes
// the place of another, and each has one entry.
func TestTablesGrowUnderAFlood(t *testing.T) {
	for _, plan := range []lvs.Plan{manyServers(lvs.RoundRobin, 2), masqueradedAll(manyServers(lvs.RoundRobin, 2))} {
		t.Run(fmt.Sprint(plan.Services[0].RealServers[0].Method), func(t *testing.T) {
			withFloor(t, grown, plan, func(m *meter) {
				defer m.sweeping(t)()
				begun := 0
				for tables, n := range []int{0, 30_000, 125_000} { // all may be half open: they are fewer than a sixth of the room
					m.flood(t, begun, n)
					begun += n
					nstest.WaitFor(t, fmt.Sprintf("table %d of connections", tables+1), func() bool { return m.conns.Steps() > tables })
				}
				m.flood(t, begun, 15_000)
				if got := m.wantAll(t, plan); got != begun+15_000 {
					t.Errorf("%d connections have entries, want %d", got, begun+15_000)
				}
				m.wantReason(t, "note_table_full", 0)
				m.wantReason(t, "drop_table_full", 0)
			})
		})
	}
}

// A new connection finds a slot also where the search stands in the midst of many slots that are
// taken: a sweep sets how many slots are searched, and a burst may have come since.
func TestSearchForASlotLeavesACrowd(t *testing.T) {
	plan := manyServers(lvs.RoundRobin, 2)
	withFloor(t, grown, plan, func(m *meter) {
		const crowd = 15_000 // fewer than tables grow at
		m.flood(t, 0, crowd)
		for i, span := range []uint32{abi.SpanLeast, 1 << 14, 1 << 20} {
			limits := entry[abi.BpfConnLimits](m.maps.ConnLimits, uint32(0))
			limits.Cursor, limits.Span = 0, span
			if err := m.maps.ConnLimits.Put(uint32(0), limits); err != nil {
				t.Fatal(err)
			}
			m.flood(t, crowd+10*i, 10)
			if got, want := m.wantAll(t, plan), crowd+10*(i+1); got != want {
				t.Errorf("%d connections have entries where %d slots are searched from the first on, want %d", got, span, want)
			}
		}
		m.wantReason(t, "note_table_full", 0)
	})
}

// What comes faster than tables can grow is served yet: the oldest that is half open makes room for
// a connection behind NAT, and by direct routing a connection does without an entry. Later ones
// have entries again.
func TestFloodFasterThanGrowth(t *testing.T) {
	for _, plan := range []lvs.Plan{manyServers(lvs.RoundRobin, 2), masqueradedAll(manyServers(lvs.RoundRobin, 2))} {
		t.Run(fmt.Sprint(plan.Services[0].RealServers[0].Method), func(t *testing.T) {
			withFloor(t, grown, plan, func(m *meter) {
				m.flood(t, 0, 100_000)
				m.wantReason(t, "drop_table_full", 0)
				defer m.sweeping(t)()
				nstest.WaitFor(t, "another table of connections", func() bool { return m.conns.Steps() > 1 })
				before := m.wantAll(t, plan)
				m.flood(t, 200_000, 10_000)
				if got := m.wantAll(t, plan) - before; got != 10_000 {
					t.Errorf("%d connections have got entries, want 10000", got)
				}
			})
		})
	}
}

// flood begins n connections, each of which must be served, from the one with this number on.
func (m *meter) flood(t testing.TB, first, n int) {
	t.Helper()
	if n > 0 {
		m.repeat(t, m.xdp, syn(1).bytes(), floor.Flows{Count: 1 << 31, First: uint32(first)}, 3, n)
	}
}

// sweeping sweeps, and has tables grow, until what it returns is called.
func (m *meter) sweeping(t testing.TB) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.conns.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// wantAll counts the connections. Behind NAT it expects the answers to each to be known
// (wantWholeIndex).
func (m *meter) wantAll(t testing.TB, plan lvs.Plan) (n int) {
	t.Helper()
	unanswered := 0
	for _, c := range m.everyConn(t) {
		n++
		if c.Route.Ifindex == 0 {
			unanswered++
		}
	}
	if plan.Services[0].RealServers[0].Method == lvs.Masquerade && unanswered > 0 {
		t.Errorf("the answers to %d of %d connections are not known", unanswered, n)
	}
	return n
}

// masqueradedAll is the plan with all servers of its service behind NAT.
func masqueradedAll(plan lvs.Plan) lvs.Plan {
	for i := range plan.Services[0].RealServers {
		plan.Services[0].RealServers[i].Method = lvs.Masquerade
	}
	return plan
}

// Connections go on when the tables grow, by their lines of the flow cache and without; those
// that are used do not expire, though lines of the cache, which alone know that, are looked for
// elsewhere from then on; and where they end nothing is left.
func TestConnectionsOutliveGrowth(t *testing.T) {
	for _, plan := range []lvs.Plan{
		planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1))),
		planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 80), masqueraded("192.0.2.12", 80))),
	} {
		for _, p := range places {
			t.Run(fmt.Sprint(plan.Services[0].RealServers[0].Method, "/", p.name), func(t *testing.T) {
				withPlaneOf(t, grown, plan, func(b *bench) {
					const each = 200
					went := map[int]string{}
					send := func(i int, flags string) {
						t.Helper()
						if out := dump(b.send(t, p, from(i, flags), back))[:12]; went[i] == "" {
							went[i] = out
						} else if out != went[i] {
							t.Fatalf("%s of connection %d goes to %s, its first packet went to %s", flags, i, out, went[i])
						}
					}
					begin := func(first int) {
						for i := first; i < first+each; i++ {
							send(i, "S")
							send(i, "A")
						}
					}
					begin(0)
					begun := each
					for {
						b.olderConns(t, ticks(time.Hour))
						for i := range begun {
							send(i, "A") // by its line
						}
						b.olderConns(t, ticks(time.Hour))
						more, err := b.conns.Grow()
						if err != nil {
							t.Fatal(err)
						}
						if !more {
							break
						}
						b.eachSlot(t, func(c *abi.BpfConn) { c.Due -= ticks(time.Hour) })
						b.sweepUntil(t, begun)
						for i := range begun {
							send(i, "A")
						}
						begin(begun)
						begun += each
						b.wantDue(t)
					}
					if tables := b.conns.Steps(); tables != 3 {
						t.Fatalf("there are %d tables, want 3", tables)
					}
					b.wantIndex(t, 9)
					b.goBy(t, ticks(time.Hour))
					b.sweepUntil(t, 0)
					b.sweepEach(t)
					b.wantDue(t)
					for key := range b.everyConn(t) {
						t.Fatalf("an entry is left of %v", key)
					}
				})
			})
		}
	}
}

// wantIndex expects connections to be looked for in the index that begins with this chunk alone.
func (b *bench) wantIndex(t testing.TB, first uint32) {
	t.Helper()
	if sizes := entry[abi.BpfSlotSizes](b.maps.SlotSizes, uint32(0)); sizes.Index>>abi.IndexPlaceShift != first || sizes.Before != 0 {
		t.Errorf("connections are looked for in the index from chunk %d on, and in %#x before: want %d alone", sizes.Index>>abi.IndexPlaceShift, sizes.Before, first)
	}
}

// A new process takes up tables that have grown, with the connections in them.
func TestGrownTablesAreTakenUp(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	withPlaneOf(t, grown, plan, func(b *bench) {
		went := [2]string{b.pick(t, places[0], syn(1))}
		b.growToTheEnd(t)
		went[1] = b.pick(t, places[0], syn(2))
		b.Close()
		*b = *openBench(t, b.pinDir, grown)
		if tables := b.conns.Steps(); tables != 3 {
			t.Errorf("there are %d tables, want 3", tables)
		}
		b.set(t, plan)
		for i, want := range went {
			if got := b.pick(t, places[0], syn(i+1).with("A")); got != want {
				t.Errorf("connection %d goes to %s, want %s", i, got, want)
			}
		}
		b.sweepUntil(t, 2)
	})
}

// Tables of another size are not taken up, though their pins are alike: they are made anew.
func TestTablesOfAnotherSizeAreMadeAnew(t *testing.T) {
	const size = 65_535 // the ring of half-open connections is as large for one more
	withPlaneOf(t, size, twoServers(lvs.RoundRobin), func(b *bench) {
		for _, tt := range []struct {
			connections int
			anew        bool
		}{{size, false}, {size + 1, true}} {
			b.Close()
			*b = *openBench(t, b.pinDir, tt.connections)
			if b.Anew() != tt.anew {
				t.Errorf("with room for %d: made anew is %v, want %v", tt.connections, b.Anew(), tt.anew)
			}
			if got := b.conns.Use().Room; got != tt.connections {
				t.Errorf("there is room for %d connections, want %d", got, tt.connections)
			}
		}
		b.set(t, twoServers(lvs.RoundRobin))
		b.send(t, places[0], syn(1), back)
		b.wantDue(t)
	})
}
