package dataplane

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

func ticks(d time.Duration) uint32 { return uint32(d / conn.TickLength) }

// knobs are how the flow cache works now.
func (b *bench) knobs() abi.BpfFlowKnobs { return entry[abi.BpfFlowKnobs](b.maps.FlowKnobs, uint32(0)) }

// lines counts the lines of the flow cache that are in use.
func (b *bench) lines(t testing.TB) (n int) {
	t.Helper()
	b.eachLine(t, func(l *abi.BpfFlowLine) {
		if l.Generation>>abi.FlowGenerationShift == b.knobs().Generation {
			n++
		}
	})
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
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for port, tt := range []struct {
			flags string // sent from CPU 0
			want  int    // lines, on CPUs that sent an ACK each
		}{
			{"", cpus}, {"A AP", cpus}, {"FA", 0}, {"R", 0}, {"S", cpus}, {"FA A", 0},
		} {
			for i, p := range places {
				b.subtest(t, tt.flags+" "+p.name, func(t *testing.T) {
					if err := b.conns.ForgetFlows(); err != nil {
						t.Fatal(err)
					}
					first := syn(10*port + i)
					b.send(t, p, first, back)
					if n := b.lines(t); n != 0 {
						t.Errorf("the first packet made %d lines", n)
					}
					for cpu := range cpus {
						onCPU(t, cpu, func() { b.send(t, p, first.with("A"), back) })
					}
					onCPU(t, 0, func() {
						for flags := range strings.FieldsSeq(tt.flags) {
							b.send(t, p, first.with(flags), back)
						}
					})
					if n := b.lines(t); n != tt.want {
						t.Errorf("%d lines are in use, want %d", n, tt.want)
					}
				})
			}
		}
	})
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

// A line of a build that laid lines out otherwise is not believed, whatever stands in it: while
// the programs are exchanged, both builds fill lines.
func TestLineOfAnotherLayoutIsNotBelieved(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	withPlane(t, plan, func(b *bench) {
		ask := syn(1)
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp", flags: "A"}
		translated := answer.forwarded(clientMAC)
		translated.from = ask.to
		b.send(t, places[0], ask, back)
		ask.flags = "A"
		now := b.knobs()
		for _, other := range []uint32{now.Older, now.Generation, 1<<24 | now.Generation, 0} { // as builds before wrote them
			b.wantFrame(t, places[0], ask, ask.sentOn(rs1MAC, "192.0.2.11:8080"))
			b.wantFrame(t, places[0], answer, translated)
			if n := b.lines(t); n != 2 {
				t.Fatalf("%d lines are in use, want 2", n)
			}
			b.eachLine(t, func(l *abi.BpfFlowLine) { // answers and method had 16 bits each
				if l.Generation == 0 {
					return
				}
				l.Generation = other
				l.Method, l.Csum = 0, uint16(l.Method)
			})
		}
	})
}

// Generations come round. A line that was filled a whole round ago is not believed then.
func TestLineOfTheGenerationARoundAgoIsNotBelieved(t *testing.T) {
	withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080))), func(b *bench) {
		ask := syn(1)
		b.send(t, places[0], ask, back)
		b.send(t, places[0], ask.with("A"), back)
		if n := b.lines(t); n != 1 {
			t.Fatalf("%d lines are in use, want 1", n)
		}
		begun := b.knobs().Generation
		for n := 1; n == 1 || b.knobs().Generation != begun; n++ {
			if n > 1<<abi.FlowLayoutShift {
				t.Fatalf("no generation of %d is %#x again", n, begun)
			}
			if err := b.conns.ForgetFlows(); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.lines(t); n != 0 {
			t.Errorf("%d lines are in use, want none", n)
		}
	})
}

// A connection whose packets all go by a line lives as long as the line is used,
// on any CPU and in either direction, and ends when that has been silent for long.
func TestConnectionLivesByItsLines(t *testing.T) {
	const limit, half = 2 * time.Hour, time.Hour
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	plan.Timeouts = lvs.Timeouts{Established: limit, UDP: 2 * limit}
	ask := syn(1)
	answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp"}
	for _, tt := range []struct {
		name  string
		heard frame
		cpu   int
	}{
		{"the client asks", ask.with("A"), 0},
		{"the client asks, on another CPU", ask.with("A"), 1},
		{"the server answers", answer.with("A"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				b.send(t, places[0], ask, back)
				b.send(t, places[0], answer.with("SA"), back)
				b.send(t, places[0], ask.with("A"), back)
				onCPU(t, tt.cpu, func() { b.send(t, places[0], tt.heard, back) })
				for range 5 {
					b.goBy(t, ticks(half))
					onCPU(t, tt.cpu, func() { b.send(t, places[0], tt.heard, back) })
				}
				if silent := conn.Tick() - b.conn(t, ask).Stamp; silent < ticks(limit) {
					t.Fatalf("the connection was stamped %d ticks ago: its packets did not go by a line", silent)
				}
				b.sweepUntil(t, 1)
				b.goBy(t, ticks(half))
				b.sweepUntil(t, 1)
				b.goBy(t, ticks(half+time.Second))
				b.sweepUntil(t, 0)
			})
		})
	}
}

// A sweep of many connections takes a while: a line that is used after it began is
// no reason to end its connection.
func TestLineUsedDuringTheSweep(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], syn(1).with("A"), back)
		b.eachSlot(t, func(c *abi.BpfConn) { c.Stamp -= ticks(time.Hour) })
		args := abi.BpfSweep{Epoch: b.conns.Epoch() + 1, Now: conn.Tick() - 3, All: 1, Entries: 4096}
		if _, err := b.programs.Sweep.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
			t.Fatal(err)
		}
		if args.Live != 1 || args.Expired != 0 {
			t.Errorf("the sweep met %d connections and ended %d, want 1 and none", args.Live, args.Expired)
		}
	})
}

// The programs' clock, which they work out of jiffies, is Go's.
func TestClock(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for port := range 20 {
			before := conn.Tick()
			b.send(t, places[0], syn(port), back)
			after, stamp := conn.Tick(), b.conn(t, syn(port)).Stamp
			if stamp-before+1 > after-before+2 {
				t.Errorf("stamped %d between %d and %d: more than one tick off", stamp, before, after)
			}
		}
	})
}

// A cache that is three fifths full has a line for nearly every flow.
func TestNearlyEveryFlowHasALine(t *testing.T) {
	withPlaneOf(t, 1<<12, twoServers(lvs.RoundRobin), func(b *bench) {
		all := 0
		b.eachLine(t, func(*abi.BpfFlowLine) { all++ })
		flows := all / ebpf.MustPossibleCPU() * 3 / 5
		onCPU(t, 0, func() {
			for port := 1; port <= flows; port++ {
				b.send(t, places[0], syn(port), back)
				b.send(t, places[0], syn(port).with("A"), back)
			}
		})
		if got := b.lines(t); got < flows-flows/100 {
			t.Errorf("%d of %d flows have a line, want 99 in 100", got, flows)
		}
	})
}

// A line that another flow gets leaves word of its last use.
func TestLineThatIsTakenLeavesWord(t *testing.T) {
	withPlaneOf(t, 1<<10, twoServers(lvs.RoundRobin), func(b *bench) {
		onCPU(t, 0, func() {
			b.send(t, places[0], syn(1), back)
			b.send(t, places[0], syn(1).with("A"), back)
			b.goBy(t, ticks(4*time.Minute))
			b.send(t, places[0], syn(1).with("A"), back)
			was := b.conn(t, syn(1)).Stamp
			for port := 2; b.conn(t, syn(1)).Stamp == was; port++ {
				if port == 60000 {
					t.Fatalf("%d flows have not taken the line, or it left no word: stamped %d ticks ago", port, conn.Tick()-was)
				}
				b.send(t, places[0], syn(port), back)
				b.send(t, places[0], syn(port).with("A"), back)
				c := b.conn(t, syn(port))
				c.Word = 0 // which leaves its line
				b.put(t, c)
			}
			if silent := time.Duration(conn.Tick()-b.conn(t, syn(1)).Stamp) * conn.TickLength; silent > time.Minute {
				t.Errorf("the connection was stamped %s ago, want the last use of its line", silent)
			}
			if err := b.conns.RemakeIndex(); err != nil { // without those that were emptied above
				t.Fatal(err)
			}
		})
	})
}

// A line that was not used for the time-out does not hold a connection that is over.
func TestLineOfAConnectionThatIsOver(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], syn(1).with("A"), back)
		b.goBy(t, ticks(time.Hour))
		b.send(t, places[0], syn(1).with("A"), pass)
	})
}
