package dataplane

import (
	"errors"
	"math/bits"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
	"weir/lvs"
	"weir/test/bench/floor"
)

// meter is a data plane whose programs are measured, and the floor's beside it.
// A figure is the thread's CPU time over BPF_PROG_TEST_RUN, in nanoseconds a
// packet, on one CPU, which has a flow cache of its own. Each program runs behind
// the wrapper that sets the packet back. One run is one round: test/bench
// interleaves the rounds.
type meter struct {
	*bench
	floor   *floor.Programs
	xdp, tc *ebpf.Program // behind the wrapper
	from    int           // the index of the device that an skb came in by; 0: this machine sends it
}

// withFloor runs the body with a data plane, and with the floor's programs, whose
// table is of the same size, and which have as many servers. In a benchmark the data
// plane's tables have grown to their end.
func withFloor(b testing.TB, connections int, plan lvs.Plan, body func(m *meter)) {
	floors, err := floor.Load(connections)
	if err != nil {
		b.Fatal(err)
	}
	defer floors.Close()
	if err := floors.Serve(netip.AddrPortFrom(vip4, 80), len(plan.Services[0].RealServers)); err != nil {
		b.Fatal(err)
	}
	withPlaneOf(b, connections, lvs.Plan{}, func(plane *bench) {
		plane.ns.IP("route", "add", "10.1.0.0/16", "via", "192.0.2.11") // to any number of servers
		plane.set(b, plan)
		if _, ok := b.(*testing.B); ok {
			plane.growToTheEnd(b)
		}
		m := &meter{bench: plane, floor: floors}
		m.xdp, m.tc = m.wrapped(b, abi.BpfProgWeirXdp), m.wrapped(b, abi.BpfProgWeirTc)
		body(m)
	})
}

// wrapped is a program of the data plane behind the wrapper.
func (m *meter) wrapped(b testing.TB, name string) *ebpf.Program {
	b.Helper()
	spec, err := attach.SpecFor(m.spec, m.device.HardwareAddr)
	if err != nil {
		b.Fatal(err)
	}
	program, err := m.floor.Wrap(spec, name, *m.collection())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { program.Close() })
	return program
}

// tableFor is the size of a table for so many connections.
func tableFor(connections int) int { return max(1<<16, 1<<bits.Len(uint(connections-1))) }

// run measures the program on b.N packets, each of which it must give this verdict.
func (m *meter) run(b *testing.B, name string, program *ebpf.Program, packet []byte, flows floor.Flows, want uint32) {
	b.Run(name, func(b *testing.B) {
		m.ns.Do(func() { // a sub-benchmark has its own thread
			spent := m.repeat(b, program, packet, flows, want, b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(spent)/float64(b.N), "ns/packet")
		})
	})
}

// each runs the packets of every flow, in turns that are short, so that few
// connections are half open at once, and lines come into the flow cache mixed as
// connections do.
func (m *meter) each(b *testing.B, flows floor.Flows, packets ...frame) {
	b.Helper()
	turn := max(1, min(1<<14, flows.Count/16))
	for ; flows.First < flows.Count; flows.First += turn {
		for _, packet := range packets {
			flows.ToClient = packet.src == rs1MAC
			m.repeat(b, m.xdp, packet.bytes(), flows, 3, int(min(turn, flows.Count-flows.First)))
		}
	}
}

// repeat runs so many packets in one system call, and returns the CPU time.
func (m *meter) repeat(b testing.TB, program *ebpf.Program, packet []byte, flows floor.Flows, want uint32, n int) int64 {
	b.Helper()
	context := any(xdpContext{DataEnd: uint32(len(packet)), IngressIfindex: uint32(m.index)})
	if program.Type() == ebpf.SchedCLS {
		context = skbContext{Ifindex: uint32(m.index), IngressIfindex: uint32(m.from)}
	}
	if err := m.floor.SetPacket(packet, flows); err != nil {
		b.Fatal(err)
	}
	var spent int64
	onCPU(b, runtime.NumCPU()-1, func() {
		defer noSignals(b)()
		begun := threadTime(b)
		got, err := program.Run(&ebpf.RunOptions{Data: packet, Context: context, Repeat: uint32(n)})
		spent = threadTime(b) - begun
		if err != nil || got != want {
			b.Fatalf("returned %d, %v, want %d", int32(got), err, int32(want))
		}
	})
	return spent
}

// noSignals keeps Go's own signals off this thread: one that interrupts the call
// has it begin again.
func noSignals(b testing.TB) (as func()) {
	var before, urgent unix.Sigset_t
	urgent.Val[0] = 1 << (unix.SIGURG - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &urgent, &before); err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func threadTime(b testing.TB) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// hit measures the program on packets of established flows. It runs once before:
// whoever touches memory first pays for it.
func (m *meter) hit(b *testing.B, name string, program *ebpf.Program, packet []byte, flows floor.Flows, want uint32) {
	b.Helper()
	m.ns.Do(func() { m.repeat(b, program, packet, flows, want, 2*max(100_000, int(flows.Count))) })
	m.run(b, name, program, packet, flows, want)
}

// forget empties the tables of connections and templates, and the flow cache.
func (m *meter) forget(b *testing.B) {
	b.Helper()
	m.eachSlot(b, func(c *abi.BpfConn) { c.Word = 0 })
	eachOf(b, m.maps.ConnIndex, 1, func(at *abi.Bucket) { *at = abi.Bucket{} })
	clients, templates := make([]abi.BpfTemplateKey, 65536), make([]abi.BpfTemplate, 65536)
	empty(b, func(c *ebpf.MapBatchCursor) (int, error) {
		return m.maps.Templates.BatchLookupAndDelete(c, clients, templates, nil)
	})
	m.eachTemplateEntry(b, func(e *abi.TemplateEntry) { *e = abi.TemplateEntry{} })
	for index := range written[uint32, abi.BpfServer](m.maps.Servers) {
		load := entry[abi.BpfLoad](m.maps.Loads, index)
		load.Active, load.Inactive, load.Persistent = 0, 0, 0
		if err := m.maps.Loads.Put(index, load); err != nil {
			b.Fatal(err)
		}
	}
	limits := entry[abi.BpfConnLimits](m.maps.ConnLimits, uint32(0))
	limits.HalfOpen = 0 // else the next ones take the places of those that were forgotten
	if err := m.maps.ConnLimits.Put(uint32(0), limits); err != nil {
		b.Fatal(err)
	}
	if err := m.conns.ForgetFlows(); err != nil {
		b.Fatal(err)
	}
}

func empty(b *testing.B, batch func(*ebpf.MapBatchCursor) (int, error)) {
	b.Helper()
	for cursor := new(ebpf.MapBatchCursor); ; {
		if _, err := batch(cursor); errors.Is(err, ebpf.ErrKeyNotExist) { // that is its end
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}
