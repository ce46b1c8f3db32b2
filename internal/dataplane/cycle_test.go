package dataplane

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
	"weir/test/conformance"
)

// walked makes every cycle of wrr one that is not laid out.
func walked(b *bench) { b.services.LimitCycle(0) }

// What the real IPVS did with wrr, once more without a table of turns.
func TestGoldenWithoutATable(t *testing.T) {
	scenarios, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	played, planes := 0, goldenPlanes(t, walked)
	for _, s := range scenarios {
		if !strings.HasPrefix(s.Name, "wrr-") {
			continue
		}
		played++
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			playOn(t, planes, s)
		})
	}
	if played < 15 {
		t.Errorf("only %d scenarios are of wrr", played)
	}
}

// turnModel is a plain Go model of a scheduler in turn.
type turnModel interface {
	Changed(servers []sched.Server)
	Next(full func(server uint32) bool) (server uint32, ok bool)
}

// rr, and wrr laid out and not, held to their plain Go models over random edits,
// with servers that are full and free again, small weights and some whose cycle
// is too long for a table, so that the service goes to and fro between both. The
// seed is printed.
func TestTurnsAgreeWithTheModel(t *testing.T) {
	t.Parallel() // after each edit the kernel waits for its readers
	for _, tt := range []struct {
		name      string
		scheduler lvs.Scheduler
		model     turnModel
		cycle     int
		seed      uint64 // 0: a new one
	}{
		{"rr", lvs.RoundRobin, &sched.Ring{}, sched.MaxSlots, 0},
		{"rr, after all were full", lvs.RoundRobin, &sched.Ring{}, sched.MaxSlots, 1795554934765222190},
		{"wrr", lvs.WeightedRoundRobin, &sched.Mark{}, sched.MaxSlots, 0},
		{"wrr of short tables", lvs.WeightedRoundRobin, &sched.Mark{}, 9, 0},
		{"wrr without a table", lvs.WeightedRoundRobin, &sched.Mark{}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seed := cmp.Or(tt.seed, uint64(time.Now().UnixNano()))
			t.Logf("seed %d", seed)
			withPlane(t, lvs.Plan{}, func(b *bench) {
				b.services.LimitCycle(tt.cycle)
				h := &turns{bench: b, t: t, r: rand.New(rand.NewPCG(seed, 0)), scheduler: tt.scheduler, model: tt.model}
				for range 150 {
					h.edit()
					for range h.r.IntN(12) {
						h.next()
					}
				}
				t.Logf("%d connections, %d of them refused, %d with a full server; %d edits to and fro", h.port, h.refused, h.full, h.swaps)
			})
		})
	}
}

// turns is a history under way.
type turns struct {
	*bench
	t         *testing.T
	r         *rand.Rand
	scheduler lvs.Scheduler
	model     turnModel
	servers   []lvs.RealServer
	port      int
	held      []frame

	refused, full, swaps int
}

// edit adds, removes or changes one server, or touches one without changing it.
func (h *turns) edit() {
	i := 0
	if len(h.servers) > 0 {
		i = h.r.IntN(len(h.servers))
	}
	h.servers = slices.Clone(h.servers)
	switch kind := h.r.IntN(5); {
	case len(h.servers) == 0 || kind == 0 && len(h.servers) < serverCount:
		h.add()
	case kind == 1:
		h.servers = slices.Delete(h.servers, i, i+1)
	default:
		h.servers[i].Edits++
		if kind > 2 {
			h.servers[i].Weight = h.weight()
		}
	}
	laidOut := h.laidOut()
	h.set(h.t, planOf(virtual(lvs.TCP, vip4, h.scheduler, h.servers...)))
	if h.laidOut() != laidOut {
		h.swaps++
	}
	var list []sched.Server
	for _, rs := range h.servers {
		list = append(list, sched.Server{Index: number(rs), Weight: rs.Weight})
	}
	h.model.Changed(list)
}

func (h *turns) laidOut() bool {
	words := h.tableOf(h.t, virtual(lvs.TCP, vip4, h.scheduler).ServiceKey)
	return len(words) > abi.TableLength && words[abi.TableLength] > 0
}

// add adds the first server that is not there.
func (h *turns) add() {
	for i := 1; i <= serverCount; i++ {
		rs := real(fmt.Sprintf("192.0.2.%d", 10+i), h.weight())
		if slices.ContainsFunc(h.servers, func(s lvs.RealServer) bool { return s.Addr == rs.Addr }) {
			continue
		}
		if h.r.IntN(2) == 0 {
			rs.Upper = uint32(1 + h.r.IntN(4))
		}
		h.servers = append(h.servers, rs)
		return
	}
}

// weight is small, mostly; some make a cycle of a million turns.
func (h *turns) weight() int {
	if h.r.IntN(6) == 0 {
		return 1 + h.r.IntN(1_000_000)
	}
	return h.r.IntN(4) * (1 + h.r.IntN(3))
}

// number is rs1's 1.
func number(rs lvs.RealServer) uint32 { return uint32(rs.Addr.As4()[3] - 10) }

// next opens a connection, or, sometimes, lets all that are held go.
func (h *turns) next() {
	if h.r.IntN(30) == 0 {
		h.letGo()
	}
	full := map[uint32]bool{}
	for i, l := range h.loadsOf(h.t, h.servers) {
		upper := int(h.servers[i].Upper)
		if l.Full || upper > 0 && l.Active+l.Inactive >= upper {
			full[number(h.servers[i])] = true
			h.full++
		}
	}
	want := string(dropped)
	if i, ok := h.model.Next(func(s uint32) bool { return full[s] }); ok {
		want = fmt.Sprintf("rs%d", i)
	} else {
		h.refused++
	}
	h.port++
	f := syn(h.port)
	if got := h.pick(h.t, places[h.port%2], f); got != want {
		h.t.Fatalf("connection %d went to %s, want %s; full %v; servers %+v", h.port, got, want, full, h.servers)
	} else if got != string(dropped) {
		h.held = append(h.held, f)
	}
}

// letGo ends all connections but those of removed servers, which are silent.
func (h *turns) letGo() {
	for _, f := range h.held {
		h.age(h.t, f, time.Hour)
	}
	h.held = nil
	if err := h.conns.Sweep(false); err != nil {
		h.t.Fatal(err)
	}
}

// Full servers of the largest weights are passed over at the price of a look at
// each: a packet takes no longer than any other.
func TestPassingOverIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		weights []int
	}{
		{"a table", []int{60000, 1}},
		{"a table of two that alternate", []int{30000, 29999, 1}},
		{"too long for a table", []int{1<<31 - 1, 1<<31 - 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var servers []lvs.RealServer
			for i, weight := range tt.weights {
				rs := real(fmt.Sprintf("192.0.2.%d", 11+i), weight)
				if weight > 1 {
					rs.Upper = 1
				}
				servers = append(servers, rs)
			}
			withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.WeightedRoundRobin, servers...)), func(b *bench) {
				light := fmt.Sprintf("rs%d", len(servers))
				for port := 1; port <= len(servers); port++ {
					b.pick(t, places[0], syn(port)) // the light one's turn may be among them
				}
				begin := time.Now()
				for port := range 1000 {
					if got := b.pick(t, places[0], syn(100+port)); got != light {
						t.Fatalf("connection %d went to %s, want %s", port, got, light)
					}
				}
				each := time.Since(begin) / 1000
				t.Logf("%s each, with the system call", each)
				if each > 300*time.Microsecond {
					t.Errorf("passing over takes %s a packet", each)
				}
			})
		})
	}
}

// Two CPUs that draw from one cycle take each turn once.
func TestTurnsFromTwoCPUs(t *testing.T) {
	const each = 6000
	for _, tt := range []struct {
		name  string
		cycle int
	}{{"a table", sched.MaxSlots}, {"no table", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			withPlane(t, lvs.Plan{}, func(b *bench) {
				b.services.LimitCycle(tt.cycle)
				b.set(t, planOf(virtual(lvs.UDP, vip4, lvs.WeightedRoundRobin,
					real("192.0.2.11", 3), real("192.0.2.12", 2), real("192.0.2.13", 1))))
				b.xdp() // loaded, before both ask for it
				var both sync.WaitGroup
				for cpu := range 2 {
					both.Go(func() { b.ns.Do(func() { onCPU(t, cpu, func() { b.datagrams(t, 1+cpu*each, each) }) }) })
				}
				both.Wait()
				stats, err := b.Stats()
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range stats.Servers {
					want := 2 * each * (4 - uint64(number(s.Server))) / 6
					if got := s.Counter.Conns; got != want {
						t.Errorf("%s had %d turns, want %d", s.Server.Addr, got, want)
					}
				}
			})
		})
	}
}

// datagrams sends the first packets of n UDP flows.
func (b *bench) datagrams(t testing.TB, port, n int) {
	for i := range n {
		f := syn(port + i)
		f.proto = "udp"
		in := f.bytes()
		if _, err := b.xdp().Run(&ebpf.RunOptions{
			Data: in, Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(b.index)},
		}); err != nil {
			t.Error(err)
			return
		}
	}
}
