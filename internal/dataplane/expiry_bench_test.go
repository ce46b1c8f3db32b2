package dataplane

import (
	"context"
	"fmt"
	"math"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

// BenchmarkExpiry is `bench expiry`: how late connections leave, and what the
// sweep of so many costs, and whether packets wait for it.
func BenchmarkExpiry(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			withFloor(b, tableFor(n+n/2), manyServers(lvs.RoundRobin, 2), func(m *meter) {
				m.each(b, floor.Flows{Count: uint32(n)}, syn(1), syn(1).with("A"))
				m.report(b, "share", "%", func() float64 { return m.sweepShare(b) })
				probe := m.newProbe(b)
				m.report(b, "quiet", "ms", func() float64 { return probe.longest(b) })
				m.report(b, "swept", "ms", func() float64 {
					stop := m.sweepAlways(b)
					defer stop()
					return probe.longest(b)
				})
				m.report(b, "late", "s", func() float64 { return m.lateness(b, n) })
			})
		})
	}
}

// BenchmarkTemplates is `bench templates`: what the sweep of so many templates costs, beside
// as many connections, and how long one step of it takes at the most.
func BenchmarkTemplates(b *testing.B) {
	for _, n := range []int{1, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			plan := manyServers(lvs.RoundRobin, 2)
			plan.Services[0].Persistence = lvs.Persistence{Timeout: time.Hour}
			withFloor(b, tableFor(max(1<<20, n+n/2)), plan, func(m *meter) {
				m.each(b, floor.Flows{Count: uint32(n), Scattered: true}, syn(1), syn(1).with("A"))
				for range 4 { // until each template has an expiry entry
					if err := m.conns.Sweep(false); err != nil {
						b.Fatal(err)
					}
				}
				m.report(b, "share", "%", func() float64 { return m.sweepShare(b) })
				m.report(b, "step", "ms", func() float64 { return m.longestStep(b) })
			})
		})
	}
}

// longestStep is how long the longest step of a sweep takes, in milliseconds: the least of
// some sweeps, since the machine does other things as well.
func (m *meter) longestStep(b *testing.B) float64 {
	least := math.Inf(1)
	for range 5 {
		var most time.Duration
		for first := m.conns.Epoch(); m.conns.Epoch() < first+2; {
			begun := time.Now()
			if _, err := m.conns.SweepSome(); err != nil {
				b.Fatal(err)
			}
			most = max(most, time.Since(begun))
		}
		least = min(least, float64(most)/float64(time.Millisecond))
	}
	return least
}

// report measures once, whatever b.N is, and tells the figure.
func (m *meter) report(b *testing.B, name, unit string, measure func() float64) {
	figure := math.NaN()
	b.Run(name, func(b *testing.B) {
		m.ns.Do(func() {
			if math.IsNaN(figure) {
				figure = measure()
			}
		})
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(figure, unit)
	})
}

// sweepShare is what the sweeps take of a CPU, in percent: of some seconds in which the
// process does nothing else.
func (m *meter) sweepShare(b *testing.B) float64 {
	if err := m.conns.Sweep(false); err != nil { // once a minute a sweep looks at all, as the first one does
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	begun, spent := time.Now(), processTime(b)
	m.conns.Run(ctx)
	return float64(processTime(b)-spent) / float64(time.Since(begun)) * 100
}

// processTime is the CPU time that the process has taken.
func processTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// lateness has all connections' time end just after a sweep has begun, which is the worst
// moment, and tells after how many seconds the last of them has gone.
func (m *meter) lateness(b *testing.B, n int) float64 {
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { m.ns.Do(func() { done <- m.Run(ctx) }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	sweeps := func() uint32 {
		return m.conns.Epoch()
	}
	for first := sweeps(); sweeps() == first; {
		time.Sleep(time.Millisecond)
	}
	over := time.Now()
	none, err := conn.TimeoutsOf(lvs.Timeouts{})
	if err != nil {
		b.Fatal(err)
	}
	none[abi.BpfConnStateSTATE_ESTABLISHED], none[abi.BpfConnStateSTATE_SYN_RECV] = 0, 0
	if err := m.conns.SetTimeouts(none); err != nil {
		b.Error(err)
	}
	if got := m.load(b); got < n {
		b.Fatalf("%d connections are live, want %d", got, n)
	}
	for m.load(b) > 0 {
		if time.Since(over) > time.Minute {
			b.Fatalf("%d connections are left", m.load(b))
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(over).Seconds()
}

// sweepAlways sweeps on the CPU that takes the probe's packets, without the pause
// between two sweeps.
func (m *meter) sweepAlways(b *testing.B) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		m.ns.Do(func() {
			onCPU(b, 0, func() {
				for {
					select {
					case <-ended:
						return
					default:
						pause, err := m.conns.SweepSome()
						if err != nil {
							b.Error(err)
							return
						}
						time.Sleep(min(pause, time.Millisecond))
					}
				}
			})
		})
	}()
	return func() { close(ended); <-done }
}

// probe is a client, and a server beside it, who measure how long a packet takes
// through the director: it comes and leaves by one device at tc, on CPU 0.
type probe struct {
	ns     *nstest.Namespace
	socket int
	port   int
}

const probeMAC = "02:00:00:00:00:55"

func (m *meter) newProbe(b *testing.B) *probe {
	p := &probe{ns: nstest.New(b, nsName(b)+"p"), port: 1024}
	nstest.Veth(m.ns, "eth1", p.ns, "eth0")
	p.ns.IP("link", "set", "eth0", "address", probeMAC)
	m.ns.Batch("link set eth1 address "+ourMAC, "addr add 198.18.0.1/24 dev eth1",
		"neigh add 198.18.0.2 lladdr "+probeMAC+" dev eth1 nud permanent")
	rps := exec.Command("ip", "netns", "exec", m.ns.Name, "sh", "-c", "echo 1 > /sys/class/net/eth1/queues/rx-0/rps_cpus")
	if out, err := rps.CombinedOutput(); err != nil {
		b.Fatalf("have CPU 0 take the packets: %v\n%s", err, out)
	}
	plan := manyServers(lvs.RoundRobin, 2)
	other := virtual(lvs.TCP, addr("192.0.2.101"), lvs.RoundRobin, real("198.18.0.2", 1))
	plan.Services, plan.Devices = append(plan.Services, other), []lvs.Device{{Name: "eth1", Hook: lvs.HookTC}}
	m.set(b, plan)
	p.ns.Do(func() { p.open(b) })
	b.Cleanup(func() { unix.Close(p.socket) })
	return p
}

// open opens a socket for raw frames, that sees no frames of its own.
func (p *probe) open(b *testing.B) {
	device, err := net.InterfaceByName("eth0")
	if err != nil {
		b.Fatal(err)
	}
	ip := int(abi.Port(unix.ETH_P_IP))
	if p.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, ip); err != nil {
		b.Fatal(err)
	}
	if err := unix.SetsockoptInt(p.socket, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		b.Fatal(err)
	}
	if err := unix.Bind(p.socket, &unix.SockaddrLinklayer{Protocol: uint16(ip), Ifindex: device.Index}); err != nil {
		b.Fatal(err)
	}
}

// longest sends packets, each a new connection, one when the one before it has
// arrived, and returns the longest that one took, in milliseconds. It has the
// other CPU for itself, which the kernel grants for 95 % of a second.
func (p *probe) longest(b *testing.B) float64 {
	var most time.Duration
	onCPU(b, runtime.NumCPU()-1, func() {
		realTime(b, unix.SCHED_FIFO, 1)
		defer realTime(b, unix.SCHED_NORMAL, 0)
		for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); p.port++ {
			most = max(most, p.once(b))
		}
	})
	return float64(most) / float64(time.Millisecond)
}

func (p *probe) once(b *testing.B) time.Duration {
	f := syn(1024 + p.port%60000).by(probeMAC)
	f.from, f.to = fmt.Sprintf("198.18.%d.9:%d", 1+p.port/60000, 1024+p.port%60000), "192.0.2.101:80"
	packet, got := f.bytes(), make([]byte, 128)
	begun := time.Now()
	if _, err := unix.Write(p.socket, packet); err != nil {
		b.Fatal(err)
	}
	for {
		n, err := unix.Read(p.socket, got)
		took := time.Since(begun)
		if err == nil && n >= len(packet) && string(got[26:36]) == string(packet[26:36]) {
			return took
		}
		if took > 5*time.Second {
			b.Fatalf("packet %d does not arrive: %v", p.port, err)
		}
	}
}

func realTime(b *testing.B, policy, priority uint32) {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		b.Fatal(err)
	}
}
