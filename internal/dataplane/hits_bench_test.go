package dataplane

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/lvs"
	"weir/test/bench/floor"
)

// BenchmarkHits is `make bench-hits`: CPU time of the thread, in nanoseconds a
// packet, over BPF_PROG_TEST_RUN. Each program runs behind the wrapper that
// sets the packet back; "empty" is that wrapper with a program that does
// nothing. One run is one round; test/bench interleaves the rounds.
func BenchmarkHits(b *testing.B) {
	floors, err := floor.Load()
	if err != nil {
		b.Fatal(err)
	}
	defer floors.Close()
	client, vip := netip.MustParseAddrPort("198.51.100.9:1"), netip.MustParseAddrPort("192.0.2.100:80")
	if err := floors.Connect(client, vip); err != nil {
		b.Fatal(err)
	}
	withPlane(b, benchPlan(lvs.RoundRobin), func(plane *bench) {
		plane.send(b, places[0], syn(1), back)
		plane.send(b, places[0], syn(1).with("A"), back)
		ack, notOurs := syn(1).with("A").bytes(), syn(1).with("A").bytes()
		notOurs[33] = 1 // 192.0.2.1, which has no service
		xdp, tc := plane.xdp(), plane.tc()
		for _, v := range []variant{
			{"empty/xdp", floors.WrapXDP, floors.EmptyXDP(), ack, 3},
			{"empty/tc", floors.WrapTC, floors.EmptyTC(), ack, 7},
			{"dr40/xdp", floors.WrapXDP, floors.DR40(), ack, 3},
			{"pass/xdp", floors.WrapXDP, xdp, notOurs, 2},
			{"pass/tc", floors.WrapTC, tc, notOurs, ^uint32(0)},
			{"hit/xdp", floors.WrapXDP, xdp, ack, 3},
			{"hit/tc", floors.WrapTC, tc, ack, 7},
		} {
			b.Run(v.name, func(b *testing.B) { v.measure(b, plane, 0) })
		}
		plane.set(b, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080))))
		ask := syn(2)
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp", flags: "A"}
		plane.send(b, places[0], ask, back)
		plane.send(b, places[0], ask.with("A"), back)
		for _, v := range []variant{
			{"nat_in/xdp", floors.WrapXDP, xdp, ask.with("A").bytes(), 3},
			{"nat_in/tc", floors.WrapTC, tc, ask.with("A").bytes(), 7},
			{"nat_out/xdp", floors.WrapXDP, xdp, answer.bytes(), 3},
			{"nat_out/tc", floors.WrapTC, tc, answer.bytes(), 7},
		} {
			b.Run(v.name, func(b *testing.B) { v.measure(b, plane, 0) })
		}
		for _, s := range []lvs.Scheduler{lvs.RoundRobin, lvs.WeightedRoundRobin, lvs.WeightedLeastConnection} {
			plane.set(b, benchPlan(s))
			for _, v := range []variant{
				{"new_" + string(s) + "/xdp", floors.WrapXDP, xdp, syn(1).bytes(), 3},
				{"new_" + string(s) + "/tc", floors.WrapTC, tc, syn(1).bytes(), 7},
			} {
				b.Run(v.name, func(b *testing.B) {
					plane.forgetConns(b)
					v.measure(b, plane, 1<<31)
				})
			}
		}
	})
}

func benchPlan(s lvs.Scheduler) lvs.Plan {
	return planOf(virtual(lvs.TCP, vip4, s, real("192.0.2.11", 1), real("192.0.2.12", 2)))
}

// variant is a program, the packet it gets, and what it must return.
type variant struct {
	name    string
	wrap    func(p *ebpf.Program, packet []byte, clients uint32) (*ebpf.Program, error)
	program *ebpf.Program
	packet  []byte
	want    uint32
}

// measure runs b.N packets, of so many clients in turn, in one system call.
func (v variant) measure(b *testing.B, plane *bench, clients uint32) {
	plane.ns.Do(func() { v.run(b, plane, clients) }) // a sub-benchmark has its own thread
}

func (v variant) run(b *testing.B, plane *bench, clients uint32) {
	wrapper, err := v.wrap(v.program, v.packet, clients)
	if err != nil {
		b.Fatal(err)
	}
	var context any = skbContext{Ifindex: uint32(plane.index)}
	if wrapper.Type() == ebpf.XDP {
		context = xdpContext{DataEnd: uint32(len(v.packet)), IngressIfindex: uint32(plane.index)}
	}
	begun := threadTime(b)
	got, err := wrapper.Run(&ebpf.RunOptions{Data: v.packet, Context: context, Repeat: uint32(b.N)})
	spent := threadTime(b) - begun
	if err != nil || got != v.want {
		b.Fatalf("returned %d, %v, want %d", int32(got), err, int32(v.want))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(spent)/float64(b.N), "ns/packet")
}

func threadTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// forgetConns empties the connection table.
func (b *bench) forgetConns(t testing.TB) {
	t.Helper()
	keys, values := make([]bpfFlowKey, 65536), make([]bpfConn, 65536)
	for cursor := new(ebpf.MapBatchCursor); ; {
		n, err := b.maps.Conns.BatchLookupAndDelete(cursor, keys, values, nil)
		if err != nil {
			return
		}
		if n == 0 {
			t.Fatal("the connection table cannot be emptied")
		}
	}
}
