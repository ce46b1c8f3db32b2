package dataplane

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/conn"
	"weir/lvs"
)

// One 5-tuple, opened and closed 100,000 times from two CPUs while the sweep
// runs and every time-out is a tick: however their turns fall, the counts end at
// 0 and no entry is left.
func TestOneFlowHammeredFromTwoCPUs(t *testing.T) {
	for _, plan := range []lvs.Plan{twoServers(lvs.WeightedLeastConnection), masqueradedAll(twoServers(lvs.WeightedLeastConnection))} {
		t.Run(string(plan.Services[0].RealServers[0].Method), func(t *testing.T) { hammerOneFlow(t, plan) })
	}
}

func hammerOneFlow(t *testing.T, plan lvs.Plan) {
	const opens = 100_000
	withPlane(t, plan, func(b *bench) {
		all, err := conn.TimeoutsOf(lvs.Timeouts{})
		if err != nil {
			t.Fatal(err)
		}
		for state := range all {
			if err := b.maps.Timeouts.Put(uint32(state), uint32(0)); err != nil {
				t.Fatal(err)
			}
		}
		var hammers sync.WaitGroup
		for cpu := range min(2, runtime.NumCPU()) {
			hammers.Go(func() { b.ns.Do(func() { onCPU(t, cpu, func() { b.hammer(t, opens/2) }) }) })
		}
		stop, swept := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					swept <- n
					return
				default:
					if err := b.conns.Sweep(false); err != nil {
						t.Error(err)
					}
					n++
				}
			}
		}()
		hammers.Wait()
		close(stop)
		t.Logf("swept %d times meanwhile", <-swept)
		b.wantNothingLeft(t)
	})
}

// A datagram's first fragment, which begins a connection, comes by one CPU, and the others,
// the last of them first, by another in the same moment: however their turns fall, all are
// sent and counted.
func TestFragmentsMetByTwoCPUs(t *testing.T) {
	const datagrams = 50_000
	r, xdp := relateds[0], places[0]
	withPlaneOf(t, 2*datagrams, planOf(r.plan(lvs.DirectRoute).Services[1]), func(b *bench) {
		whole := edit(r.datagram(), func(f *frame) { f.payload = f.payload[:56] })
		reversed := whole.pieces(16)
		slices.Reverse(reversed)
		later, first := reversed[:3], reversed[3:]
		var at [2]atomic.Int64
		bring := func(cpu int, list []frame) {
			for id := range datagrams {
				for at[cpu].Store(int64(id)); at[1-cpu].Load() < int64(id); {
					runtime.Gosched()
				}
				for _, f := range list {
					f.id, f.from = id, r.port(r.client, 1024+id)
					b.through(t, xdp, f)
				}
			}
			at[cpu].Store(datagrams)
		}
		var both sync.WaitGroup
		for cpu, list := range [][]frame{first, later} {
			both.Go(func() { b.ns.Do(func() { onCPU(t, cpu%runtime.NumCPU(), func() { bring(cpu, list) }) }) })
		}
		both.Wait()
		bytes := uint64(0)
		for _, f := range reversed {
			bytes += uint64(len(f.bytes()) - 14)
		}
		b.wantServer(t, r.server, Counter{Conns: datagrams, Packets: 4 * datagrams, Bytes: bytes * datagrams})
		b.wantReason(t, "pass_fragment", 0)
	})
}

// Two CPUs end the connections of one denied client, as a rule that comes and the look after it
// do, while another client's begin in the places that get free: each is counted out once, and
// none of the other client's is lost.
func TestConnectionsCutByTwoCPUs(t *testing.T) {
	const rounds, each = 60, 256
	withPlane(t, twoServers(lvs.WeightedLeastConnection), func(b *bench) {
		denied, free := "203.0.113.1", "203.0.113.2"
		begin := func(client string, first int) {
			for i := range each {
				for _, flags := range []string{"S", "A"} {
					if got := b.verdictOf(t, clientAt(client, lvs.TCP, first+i).with(flags)); got != back {
						t.Errorf("a packet of %s is %q, want %q", client, got, back)
					}
				}
			}
		}
		for round := range rounds {
			begin(denied, 1024)
			if _, err := b.access.Add(clients(denied+"/32", 0, 0), true, 0); err != nil {
				t.Fatal(err)
			}
			var both sync.WaitGroup
			for cpu := range 2 {
				both.Go(func() {
					onCPU(t, cpu%runtime.NumCPU(), func() {
						if err := b.conns.CutDenied(); err != nil {
							t.Error(err)
						}
					})
				})
			}
			both.Go(func() { b.ns.Do(func() { begin(free, 1024+round*each) }) })
			both.Wait()
			if _, err := b.access.Remove(clients(denied+"/32", 0, 0), true); err != nil {
				t.Fatal(err)
			}
			want := (round + 1) * each
			if n, counted := b.connections(t), b.load(t); n != want || counted != want {
				t.Fatalf("round %d: there are %d connections, and %d are counted; want %d", round, n, counted, want)
			}
		}
		b.wantDue(t)
		b.deny(t, clients(free+"/32", 0, 0), 0)
		b.wantNothingLeft(t)
	})
}

// load is how many connections all servers have.
func (b *bench) load(t testing.TB) (all int) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Servers {
		all += s.Active + s.Inactive
	}
	return all
}

// hammer opens and closes the flow n times.
func (b *bench) hammer(t testing.TB, n int) {
	packets := [][]byte{syn(1).bytes(), syn(1).with("A").bytes(), syn(1).with("R").bytes()}
	for range n {
		for _, packet := range packets {
			_, err := b.xdp().Run(&ebpf.RunOptions{
				Data: packet, Context: xdpContext{DataEnd: uint32(len(packet)), IngressIfindex: uint32(b.index)},
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// wantNothingLeft sweeps until the table is empty, which takes a tick, and
// expects no server to have a connection.
func (b *bench) wantNothingLeft(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if err := b.conns.Sweep(false); err != nil {
			t.Fatal(err)
		}
		if b.conns.Live() == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", b.conns.Live())
		}
	}
	if n := b.halfOpen(t); n != 0 {
		t.Errorf("%d are half open", n)
	}
	b.sweepEach(t)
	b.wantDue(t)
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Servers {
		if s.Active != 0 || s.Inactive != 0 {
			t.Errorf("%s: %d active, %d inactive without a connection", s.Server.Addr, s.Active, s.Inactive)
		}
	}
}
