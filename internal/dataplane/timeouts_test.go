package dataplane

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

func (b *bench) liveAfter(t testing.TB) int {
	t.Helper()
	if err := b.conns.Sweep(false); err != nil {
		t.Fatal(err)
	}
	return b.conns.Live()
}

// A plan's time-outs are in force at once, for connections that there are, too;
// what it leaves at 0 is the kernel's.
func TestTimeoutsFollowThePlan(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	with := func(timeouts lvs.Timeouts) lvs.Plan {
		plan := plan
		plan.Timeouts = timeouts
		return plan
	}
	withPlane(t, plan, func(b *bench) {
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], syn(1).with("A"), back)
		b.send(t, places[0], syn(2), back)
		for _, step := range []struct {
			name     string
			timeouts lvs.Timeouts
			silent   time.Duration // the established one, 1; and the half open one, 2
			live     int
		}{
			{"the kernel's", lvs.Timeouts{}, 30 * time.Second, 2},
			{"longer than the kernel's", lvs.Timeouts{Established: 2 * time.Hour, SynRecv: 2 * time.Hour}, time.Hour, 2},
			{"one of them is the kernel's again", lvs.Timeouts{Established: 2 * time.Hour}, time.Hour, 1},
			{"shorter", lvs.Timeouts{Established: 20 * time.Second}, 30 * time.Second, 0},
		} {
			for port := 1; port <= b.liveAfter(t); port++ {
				b.age(t, syn(port), 0)
			}
			b.set(t, with(step.timeouts))
			for port := 1; port <= b.conns.Live(); port++ {
				b.age(t, syn(port), step.silent)
			}
			if got := b.liveAfter(t); got != step.live {
				t.Errorf("%s: %d connections live after %s, want %d", step.name, got, step.silent, step.live)
			}
		}
	})
}

// What was set outlives the process until the next plan, for the flow cache, too.
func TestTimeoutsOfTheNextProcess(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	plan.Timeouts = lvs.Timeouts{Established: 4 * time.Second, UDP: 2 * time.Hour}
	withPlane(t, plan, func(b *bench) {
		next, err := Open(Options{PinDir: b.pinDir, Connections: 1 << 15, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if want := uint32(4 * time.Second / conn.TickLength); entry[abi.BpfFlowKnobs](next.maps.FlowKnobs, uint32(0)).Idle != want {
			t.Errorf("a line is good for %d ticks without a packet after a restart, want %d", entry[abi.BpfFlowKnobs](next.maps.FlowKnobs, uint32(0)).Idle, want)
		}
		var ticks uint32
		if err := next.maps.Timeouts.Lookup(uint32(abi.BpfConnStateSTATE_UDP), &ticks); err != nil {
			t.Fatal(err)
		}
		if want := uint32(2 * time.Hour / conn.TickLength); ticks != want {
			t.Errorf("UDP has %d ticks after a restart, want %d", ticks, want)
		}
	})
}

func TestTimeoutsThatMakeNoSense(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	withPlane(t, plan, func(b *bench) {
		for _, wrong := range []time.Duration{-time.Second, time.Nanosecond, 400 * 24 * time.Hour} {
			err := b.Set(lvs.Plan{Timeouts: lvs.Timeouts{FinWait: wrong}})
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("time-out FinWait is %s: expected ", wrong)) {
				t.Errorf("%s: got %v", wrong, err)
			}
		}
		b.send(t, places[0], syn(1), back) // nothing has changed
	})
}
