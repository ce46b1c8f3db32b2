package dataplane

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

func twoServers(s lvs.Scheduler) lvs.Plan {
	return planOf(virtual(lvs.TCP, vip4, s, real("192.0.2.11", 1), real("192.0.2.12", 2)))
}

func TestNewConnectionsFollowTheScheduler(t *testing.T) {
	for scheduler, want := range map[lvs.Scheduler]string{
		lvs.RoundRobin:         "rs2 rs1 rs2 rs1 rs2 rs1",
		lvs.WeightedRoundRobin: "rs2 rs1 rs2 rs2 rs1 rs2",
	} {
		for _, p := range places {
			t.Run(fmt.Sprint(scheduler, " ", p.name), func(t *testing.T) {
				withPlane(t, twoServers(scheduler), func(b *bench) {
					if got := b.picks(t, p, 1, 6); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			})
		}
	}
}

func TestConnectionStaysWithItsServer(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for _, flags := range []string{"S", "A", "AP", "S", "A", "FA", "A"} {
			if got := b.pick(t, places[0], syn(1).with(flags)); got != "rs2" {
				t.Errorf("%s went to %s, want rs2", flags, got)
			}
		}
		b.wantServer(t, "192.0.2.12", Counter{Conns: 1, Packets: 7, Bytes: 280})
	})
}

// The states of a connection whose replies are not seen, as the kernel's
// input-only table has them: flags sent so far, state reached.
func TestStates(t *testing.T) {
	tests := []struct {
		flags string
		want  abi.BpfConnState
	}{
		{"S", abi.BpfConnStateSTATE_SYN_RECV},
		{"S S", abi.BpfConnStateSTATE_SYN_RECV},
		{"S R", abi.BpfConnStateSTATE_SYN_RECV},
		{"S A", abi.BpfConnStateSTATE_ESTABLISHED},
		{"S A S", abi.BpfConnStateSTATE_ESTABLISHED},
		{"S A FA", abi.BpfConnStateSTATE_FIN_WAIT},
		{"S A FA A", abi.BpfConnStateSTATE_FIN_WAIT},
		{"S FA", abi.BpfConnStateSTATE_TIME_WAIT},
		{"S A R", abi.BpfConnStateSTATE_CLOSE},
		{"S A FA S", abi.BpfConnStateSTATE_SYN_RECV},
	}
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for port, tt := range tests {
			b.subtest(t, tt.flags, func(t *testing.T) {
				for flags := range strings.FieldsSeq(tt.flags) {
					b.send(t, places[0], syn(port).with(flags), back)
				}
				if got := b.state(t, syn(port)); got != tt.want {
					t.Errorf("state %d, want %d", got, tt.want)
				}
			})
		}
	})
}

func TestEndedConnectionIsScheduledAnew(t *testing.T) {
	for _, end := range []string{"S A R", "S FA"} { // CLOSE, TIME_WAIT
		t.Run(end, func(t *testing.T) {
			withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
				for flags := range strings.FieldsSeq(end) {
					b.send(t, places[0], syn(1).with(flags), back)
				}
				if got := b.pick(t, places[0], syn(1)); got != "rs1" {
					t.Errorf("the port's next connection went to %s, want rs1", got)
				}
				b.wantServer(t, "192.0.2.11", Counter{Conns: 1, Packets: 1, Bytes: 40})
			})
		})
	}
}

func TestConnectionExpires(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back)
		b.sweepUntil(t, 1)
		// Longer ago than any time-out: the sweep was late.
		b.age(t, syn(1), time.Hour)
		if got := b.pick(t, places[0], syn(1)); got != "rs1" {
			t.Errorf("an overdue connection was found: %s, want rs1", got)
		}
		b.age(t, syn(1), time.Hour)
		b.sweepUntil(t, 0)
		b.send(t, places[0], syn(1).with("A"), pass)
	})
}

func TestTimeoutsAreThoseOfIPVS(t *testing.T) {
	for _, tt := range []struct {
		flags string
		limit time.Duration
	}{{"S", 60 * time.Second}, {"S A", 900 * time.Second}, {"S A FA", 120 * time.Second}, {"S A R", 10 * time.Second}} {
		t.Run(tt.flags, func(t *testing.T) {
			withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
				for flags := range strings.FieldsSeq(tt.flags) {
					b.send(t, places[0], syn(1).with(flags), back)
				}
				b.age(t, syn(1), tt.limit-tt.limit/4) // a busy machine takes its time meanwhile
				b.sweepUntil(t, 1)
				b.age(t, syn(1), tt.limit+time.Second)
				b.sweepUntil(t, 0)
			})
		})
	}
}

// A client that tries anew, with a port whose connection's server has left, gets
// another server.
func TestSYNToARemovedServerIsScheduledAnew(t *testing.T) {
	without := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		if got := b.pick(t, places[0], syn(1)); got != "rs2" {
			t.Fatalf("went to %s, want rs2", got)
		}
		b.set(t, without)
		for _, flags := range []string{"S", "A"} {
			if got := b.pick(t, places[0], syn(1).with(flags)); got != "rs1" {
				t.Errorf("%s went to %s, want rs1", flags, got)
			}
		}
	})
}

// A removed server's connections are silent, not moved, and go on when it is
// back, as in the kernel.
func TestRemovedServer(t *testing.T) {
	whole := twoServers(lvs.RoundRobin)
	without := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, whole, func(b *bench) {
		b.send(t, places[0], syn(1), back) // rs2
		b.send(t, places[0], syn(1).with("A"), back)
		b.set(t, without)
		b.send(t, places[0], syn(1).with("A"), dropped)
		b.wantReason(t, "drop_server_removed", 1)
		if got := b.picks(t, places[0], 2, 3); got != "rs1 rs1 rs1" {
			t.Errorf("new connections went to %s", got)
		}
		b.set(t, whole)
		if got := b.pick(t, places[0], syn(1).with("A")); got != "rs2" {
			t.Errorf("the connection went on to %s, want rs2", got)
		}
		b.wantServer(t, "192.0.2.12", Counter{Conns: 1, Packets: 3, Bytes: 120})
	})
}

func TestRemovedServersNumberIsKeptWhileConnectionsReferToIt(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		b.send(t, places[0], syn(1), back) // rs2
		b.set(t, planOf())
		b.sweepUntil(t, 1)
		b.sweepUntil(t, 1)
		if _, n := b.known(t); n != 1 {
			t.Errorf("%d servers are remembered, want the one with a connection", n)
		}
		b.age(t, syn(1), time.Hour)
		b.sweepUntil(t, 0)
		b.sweepUntil(t, 0)
		if services, servers := b.known(t); servers != 0 || services != 0 {
			t.Errorf("remembered: %d servers, %d services", servers, services)
		}
	})
}

// A new process takes up tables, connections, cursor and counters.
func TestAdoption(t *testing.T) {
	withPlane(t, twoServers(lvs.WeightedRoundRobin), func(b *bench) {
		if got := b.picks(t, places[0], 1, 2); got != "rs2 rs1" {
			t.Fatalf("picked %s", got)
		}
		b.Close()
		again := openBench(t, b.pinDir, b.room())
		*b = *again
		if got := b.pick(t, places[0], syn(1).with("A")); got != "rs2" {
			t.Errorf("before its plan is set the connection goes to %s, want rs2", got)
		}
		b.set(t, twoServers(lvs.WeightedRoundRobin))
		if got := b.pick(t, places[0], syn(2).with("A")); got != "rs1" {
			t.Errorf("the connection went to %s, want rs1", got)
		}
		if got := b.picks(t, places[0], 3, 4); got != "rs2 rs2 rs1 rs2" {
			t.Errorf("the cycle went on with %s", got)
		}
		b.wantServer(t, "192.0.2.12", Counter{Conns: 4, Packets: 5, Bytes: 200})
	})
}
