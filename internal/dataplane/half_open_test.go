package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// A small table is flooded with SYNs. What is established goes on, the half-open
// connections hold at most half of the table, and a client whose entry gave way
// reaches the server that its SYN did, to be remembered again.
func TestFloodLeavesRoom(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan lvs.Plan
		rows int // entries of a connection
	}{
		{"direct routing", twoServers(lvs.RoundRobin), 1},
		{"persistent", persistent(twoServers(lvs.WeightedLeastConnection)), 1},
		{"source hashing", twoServers(lvs.SourceHash), 1},
		{"NAT", planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080), masqueraded("192.0.2.12", 80))), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withPlaneOf(t, 4096, tt.plan, func(b *bench) {
				size := b.room()
				servers := map[int]string{}
				for port := 1; port <= 100; port++ {
					servers[port] = b.pick(t, places[0], syn(port))
					b.pick(t, places[0], syn(port).with("A"))
				}
				for i := range 3 * size {
					b.send(t, places[0], from(i, "S"), back)
				}
				if half := b.halfOpen(t) * tt.rows; half > size/2 {
					t.Errorf("half-open connections hold %d of %d entries", half, size)
				}
				for port, want := range servers {
					if got := b.pick(t, places[0], syn(port).with("AP")); got != want {
						t.Errorf("connection %d went to %s, and in the flood to %s", port, want, got)
					}
				}
				early := b.pick(t, places[0], syn(1000))
				for i := range 100 {
					b.send(t, places[0], from(3*size+i, "S"), back)
				}
				for _, flags := range []string{"A", "AP", "A"} {
					if got := b.pick(t, places[0], syn(1000).with(flags)); got != early {
						t.Errorf("a new client's SYN went to %s, its %s to %s", early, flags, got)
					}
				}
				if got := b.state(t, syn(1000)); got != abi.BpfConnStateSTATE_ESTABLISHED {
					t.Errorf("the new client is in state %d, want established", got)
				}
			})
		})
	}
}

// A client whose half-open entry gave way to the flood still reaches its server
// by direct routing: by the flow's hash.
func TestFlowWithoutEntryKeepsItsServer(t *testing.T) {
	withPlaneOf(t, 4096, twoServers(lvs.RoundRobin), func(b *bench) {
		size := b.room()
		flood := func(round int) {
			for i := range size {
				b.send(t, places[0], from(round*size+i, "S"), back)
			}
		}
		b.send(t, places[0], syn(1).with("A"), pass) // nobody's, while there was room
		flood(0)
		for port := 1; port <= 50; port++ {
			begun := b.pick(t, places[0], syn(port))
			flood(port)
			for _, flags := range []string{"A", "AP", "FA"} {
				if got := b.pick(t, places[0], syn(port).with(flags)); got != begun {
					t.Fatalf("connection %d went to %s, and after the flood its %s to %s", port, begun, flags, got)
				}
			}
		}
		stats, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range []string{"note_by_hash", "note_recycled"} {
			if stats.Reasons[reason] == 0 {
				t.Errorf("%s is 0", reason)
			}
		}
	})
}

// A table full of datagrams' entries: by direct routing a flow's packets go on to
// one server, with NAT they are refused, and both are counted.
func TestTableFullOfDatagrams(t *testing.T) {
	for _, tt := range []struct {
		method string
		plan   lvs.Plan
		want   verdict
		reason string
	}{
		{"direct routing", planOf(virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1))), back, "note_table_full"},
		{"NAT", planOf(virtual(lvs.UDP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 80))), dropped, "drop_table_full"},
	} {
		t.Run(tt.method, func(t *testing.T) {
			withPlaneOf(t, 4096, tt.plan, func(b *bench) {
				datagram := func(i int) frame {
					f := from(i, "")
					f.proto, f.payload = "udp", "x"
					return f
				}
				for i := range b.room() * 2 {
					if _, _, err := places[0].run(b, datagram(i).bytes()); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 20 {
					late := datagram(1<<20 + i)
					out := dump(b.send(t, places[0], late, tt.want))
					for range 3 {
						if again := dump(b.send(t, places[0], late, tt.want)); again != out {
							t.Errorf("datagrams of one flow went two ways:\n%s\n%s", out, again)
						}
					}
				}
				stats, err := b.Stats()
				if err != nil {
					t.Fatal(err)
				}
				if stats.Reasons[tt.reason] < 80 {
					t.Errorf("%s is %d, want at least 80", tt.reason, stats.Reasons[tt.reason])
				}
			})
		})
	}
}

// from is a packet of the i-th of many clients.
func from(i int, flags string) frame {
	f := syn(1).with(flags)
	f.from = fmt.Sprintf("10.%d.%d.%d:4000", i>>16&255, i>>8&255, i&255)
	return f
}

func persistent(plan lvs.Plan) lvs.Plan {
	plan.Services[0].Persistence.Timeout = 300e9
	return plan
}

// halfOpen counts the connections in SYN_RECV, and compares with the count kept.
func (b *bench) halfOpen(t testing.TB) (n int) {
	t.Helper()
	for _, c := range b.everyConn(t) {
		if abi.BpfConnState(c.Word>>32&15) == abi.BpfConnStateSTATE_SYN_RECV {
			n++
		}
	}
	var r abi.BpfConnLimits
	if err := b.maps.ConnLimits.Lookup(uint32(0), &r); err != nil {
		t.Fatal(err)
	}
	if int(r.HalfOpen) != n {
		t.Errorf("%d connections are half open, and %d are counted", n, r.HalfOpen)
	}
	return n
}

// What became of new connections is counted a second after they began, by server: those that
// the client has acknowledged, and those that it has not.
func TestOpened(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan lvs.Plan
	}{
		{"direct routing", twoServers(lvs.RoundRobin)},
		{"NAT", planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 80), masqueraded("192.0.2.12", 80)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withPlane(t, tt.plan, func(b *bench) {
				now := time.Now()
				opened := func(after time.Duration) (list []string) {
					counts, err := b.conns.Opened(now.Add(after))
					if err != nil {
						t.Fatal(err)
					}
					for _, o := range b.services.Opened(counts) {
						list = append(list, fmt.Sprintf("%s %s: %d answered, %d not", o.Service, o.Server, o.Answered, o.Unanswered))
					}
					slices.Sort(list)
					return list
				}
				opened(0)
				for port := 1; port <= 10; port++ {
					b.pick(t, places[0], syn(port))
					b.pick(t, places[0], syn(port)) // again: it is the same connection
				}
				for _, port := range []int{1, 2, 3, 5} { // of one server two, of the other one all but one
					b.pick(t, places[0], syn(port).with("A"))
				}
				if got := opened(500 * time.Millisecond); got != nil {
					t.Errorf("before the second is over: %q", got)
				}
				got, want := opened(1600*time.Millisecond), 2
				sum := strings.Join(got, "; ")
				if len(got) != want || !strings.Contains(sum, "3 answered, 2 not") || !strings.Contains(sum, "1 answered, 4 not") {
					t.Errorf("after it: %q", got)
				}
				if got := opened(3 * time.Second); got != nil {
					t.Errorf("once more: %q", got)
				}
			})
		})
	}
}
