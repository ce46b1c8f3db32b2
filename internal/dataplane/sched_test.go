package dataplane

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// The data plane's schedulers that scan, held to their plain Go model: random
// servers, connections that open, are established, close and are reset. The seed
// is printed.
func TestScanAgreesWithTheModel(t *testing.T) {
	for _, s := range []lvs.Scheduler{
		lvs.LeastConnection, lvs.WeightedLeastConnection, lvs.ShortestExpectedDelay,
		lvs.NeverQueue, lvs.WeightedFailover, lvs.WeightedOverflow,
	} {
		t.Run(string(s), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			servers := randomServers(r)
			withPlane(t, planOf(virtual(lvs.TCP, vip4, s, servers...)), func(b *bench) {
				for port := 1; port <= 300; port++ {
					want := "drop"
					if i, ok := sched.Pick(s, b.loadsOf(t, servers)); ok {
						want = fmt.Sprintf("rs%d", i)
					}
					if got := b.pick(t, places[port%2], syn(port)); got != want {
						t.Fatalf("connection %d went to %s, want %s; servers %+v", port, got, want, b.loadsOf(t, servers))
					}
					b.churn(t, r, port)
				}
			})
		})
	}
}

func randomServers(r *rand.Rand) (servers []lvs.RealServer) {
	for i := 1; i <= serverCount; i++ {
		s := real(fmt.Sprintf("192.0.2.%d", 10+i), r.IntN(6))
		if r.IntN(2) == 0 {
			s.Upper = uint32(1 + r.IntN(30))
			s.Lower = uint32(r.IntN(int(s.Upper)))
		}
		servers = append(servers, s)
	}
	return servers
}

// loadsOf reads the servers' loads; a server's index is its number.
func (b *bench) loadsOf(t testing.TB, servers []lvs.RealServer) (loads []sched.Load) {
	t.Helper()
	for i, rs := range servers {
		index := b.serverOf(rs.Addr.String())
		var l abi.BpfLoad
		if err := b.maps.Loads.Lookup(index, &l); err != nil {
			t.Fatal(err)
		}
		loads = append(loads, sched.Load{
			Server: sched.Server{Index: uint32(i + 1), Weight: rs.Weight},
			Active: int(l.Active), Inactive: int(l.Inactive), Full: l.Flags != 0,
		})
	}
	return loads
}

// churn lets some of the connections so far go on.
func (b *bench) churn(t testing.TB, r *rand.Rand, port int) {
	t.Helper()
	for range r.IntN(4) {
		f := syn(1 + r.IntN(port)).with([]string{"A", "A", "FA", "R", "RA"}[r.IntN(5)])
		if _, _, err := places[0].run(b, f.bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that is full gets no new connections until it has fewer than its
// lower threshold, or than three quarters of the upper; the others' cycle goes on.
func TestThresholds(t *testing.T) {
	full := real("192.0.2.12", 1)
	full.Upper = 4
	for _, tt := range []struct {
		lower     uint32
		closed    int // of its four connections
		available bool
	}{{0, 1, false}, {0, 2, true}, {2, 2, false}, {2, 3, true}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			full.Lower = tt.lower
			withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), full)), func(b *bench) {
				if got, want := b.picks(t, places[0], 1, 10), "rs2 rs1 rs2 rs1 rs2 rs1 rs2 rs1 rs1 rs1"; got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				for i := range tt.closed { // ports 1, 3, 5, 7 are rs2's
					b.send(t, places[0], syn(1+2*i).with("A"), back)
					b.send(t, places[0], syn(1+2*i).with("R"), back)
					b.age(t, syn(1+2*i), time.Hour)
				}
				b.sweepUntil(t, 10-tt.closed)
				got := b.picks(t, places[0], 100, 2)
				if available := got == "rs2 rs1" || got == "rs1 rs2"; available != tt.available {
					t.Errorf("after %d closed, lower %d: %s, available %v, want %v", tt.closed, tt.lower, got, available, tt.available)
				}
			})
		})
	}
}

// Whether a server is full follows an edit of its thresholds at once, as in the
// kernel: rs2 has four connections and is full, then it is edited.
func TestEditedThresholds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		edits     [][2]uint32 // upper, lower
		available bool
	}{
		{"none any more", [][2]uint32{{0, 0}}, true},
		{"raised, not below the lower one", [][2]uint32{{6, 4}}, false},
		{"raised, below the lower one", [][2]uint32{{6, 5}}, true},
		{"raised, below three quarters", [][2]uint32{{8, 0}}, true},
		{"lowered", [][2]uint32{{3, 0}}, false},
		{"taken away and set higher", [][2]uint32{{0, 0}, {5, 1}}, true},
		{"taken away and set again", [][2]uint32{{0, 0}, {4, 0}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			full := real("192.0.2.12", 1)
			full.Upper = 4
			plan := func() lvs.Plan {
				return planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), full))
			}
			withPlane(t, plan(), func(b *bench) {
				if got, want := b.picks(t, places[0], 1, 10), "rs2 rs1 rs2 rs1 rs2 rs1 rs2 rs1 rs1 rs1"; got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				for _, e := range tt.edits {
					full.Upper, full.Lower = e[0], e[1]
					full.Edits++
					b.set(t, plan())
				}
				if got := b.picks(t, places[0], 100, 2); strings.Contains(got, "rs2") != tt.available {
					t.Errorf("got %s, rs2 available: want %v", got, tt.available)
				}
			})
		})
	}
}

// The counts end where they began: nothing is counted twice, or lost.
func TestCountsEndAtZero(t *testing.T) {
	withPlane(t, twoServers(lvs.WeightedLeastConnection), func(b *bench) {
		r := rand.New(rand.NewPCG(1, 2))
		for port := 1; port <= 200; port++ {
			b.pick(t, places[0], syn(port))
			b.churn(t, r, port)
		}
		for port := 1; port <= 200; port++ {
			b.age(t, syn(port), time.Hour)
		}
		b.wantNothingLeft(t)
	})
}
