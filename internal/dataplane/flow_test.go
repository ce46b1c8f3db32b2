package dataplane

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/lvs"
)

// lines counts the lines of the flow cache that are in use.
func (b *bench) lines(t testing.TB) (n int) {
	t.Helper()
	var at uint32
	var l bpfFlowLine
	all := b.maps.FlowLines.Iterate()
	for all.Next(&at, &l) {
		if l.Generation == b.flows.Generation {
			n++
		}
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// onCPU runs the body on that CPU.
func onCPU(t testing.TB, cpu int, body func()) {
	t.Helper()
	var all, one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Error(err)
		return
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Error(err)
		return
	}
	defer unix.SchedSetaffinity(0, &all) // the thread lives on
	body()
}

// A flow has a line from its second packet on, while it is established; what
// changes its state empties the lines that it has on every CPU.
func TestFlowHasALineWhileEstablished(t *testing.T) {
	cpus := min(2, runtime.NumCPU())
	for _, tt := range []struct {
		flags string // sent from CPU 0
		want  int    // lines, on CPUs that sent an ACK each
	}{
		{"", cpus}, {"A AP", cpus}, {"FA", 0}, {"R", 0}, {"S", cpus}, {"FA A", 0},
	} {
		for _, p := range places {
			t.Run(tt.flags+" "+p.name, func(t *testing.T) {
				withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
					b.send(t, p, syn(1), back)
					if n := b.lines(t); n != 0 {
						t.Errorf("the first packet made %d lines", n)
					}
					for cpu := range cpus {
						onCPU(t, cpu, func() { b.send(t, p, syn(1).with("A"), back) })
					}
					onCPU(t, 0, func() {
						for flags := range strings.FieldsSeq(tt.flags) {
							b.send(t, p, syn(1).with(flags), back)
						}
					})
					if n := b.lines(t); n != tt.want {
						t.Errorf("%d lines are in use, want %d", n, tt.want)
					}
				})
			})
		}
	}
}

// A port that ended and begins anew goes to its new server from every CPU, also
// from one whose cache had the old one.
func TestLineOfAnotherCPUIsNotBelieved(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Fatal("this test takes two CPUs")
	}
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		onCPU(t, 0, func() { b.send(t, places[0], syn(1), back) })
		onCPU(t, 1, func() {
			for range 3 {
				if got := b.pick(t, places[0], syn(1).with("A")); got != "rs2" {
					t.Fatalf("the first connection went to %s, want rs2", got)
				}
			}
		})
		onCPU(t, 0, func() {
			b.send(t, places[0], syn(1).with("R"), back)
			b.send(t, places[0], syn(1), back)
			b.send(t, places[0], syn(1).with("A"), back)
		})
		onCPU(t, 1, func() {
			if got := b.pick(t, places[0], syn(1).with("A")); got != "rs1" {
				t.Errorf("the second connection went to %s, want rs1", got)
			}
		})
	})
}

// Both directions of NAT have lines, which go together; a UDP flow has them, too.
func TestLinesOfNAT(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	withPlane(t, plan, func(b *bench) {
		ask := syn(1)
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp", flags: "A"}
		for range 3 {
			b.send(t, places[0], ask, back)
			b.send(t, places[0], answer.with("SA"), back)
			ask = ask.with("A")
		}
		b.send(t, places[0], answer, back)
		if n := b.lines(t); n != 2 {
			t.Errorf("%d lines are in use, want 2", n)
		}
		b.send(t, places[0], answer.with("FA"), back)
		if n := b.lines(t); n != 0 {
			t.Errorf("%d lines are in use after the server's FIN, want none", n)
		}
	})
}

// A flow with a line stamps its connection again when the line is no longer good.
func TestFlowStampsItsConnection(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		ack := syn(1).with("A")
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], ack, back)
		c := b.conn(t, ack)
		was := c.Stamp
		for deadline := time.Now().Add(5 * time.Second); b.conn(t, ack).Stamp == was; {
			b.send(t, places[0], ack, back)
			if time.Now().After(deadline) {
				t.Fatal("5 s of packets have not stamped the connection")
			}
		}
	})
}

func TestFlowRefresh(t *testing.T) {
	long := map[bpfConnState]time.Duration{
		bpfConnStateSTATE_ESTABLISHED: 900 * time.Second, bpfConnStateSTATE_UDP: 300 * time.Second,
	}
	short := map[bpfConnState]time.Duration{
		bpfConnStateSTATE_ESTABLISHED: 900 * time.Second, bpfConnStateSTATE_UDP: 2 * time.Second,
	}
	for _, tt := range []struct {
		name     string
		live     int
		timeouts map[bpfConnState]time.Duration
		want     time.Duration
	}{
		{"few connections: every tick", 1000, long, tickLength},
		{"100,000: below half a second", 100_000, long, 400 * time.Millisecond},
		{"a million: 4 s", 1_000_000, long, 4 * time.Second},
		{"ten millions: no longer", 10_000_000, long, 4 * time.Second},
		{"an eighth of the shortest time-out", 1_000_000, short, 250 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := flowRefresh(tt.live, tt.timeouts); got != uint32(tt.want/tickLength) {
				t.Errorf("%d ticks, want %d", got, tt.want/tickLength)
			}
		})
	}
}
