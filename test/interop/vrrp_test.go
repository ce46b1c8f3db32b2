package interop

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"weir/test/binary"
	"weir/vrrp"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := removeStale(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// These tests wait for timers, not for the CPU: in parallel they take no longer than the
	// slowest.
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary.Main(m, &executable)
}

// executable is the weir binary under test.
var executable string

// The seed's times: one second between adverts, priorities 100 and 90.
const (
	advertInterval = time.Second
	skew100        = 609375 * time.Microsecond
	skew90         = 648437500 * time.Nanosecond
	// grace is how much longer a takeover may take than the protocol's times.
	grace = 200 * time.Millisecond
	// starting is how long a program may take to start and to send or receive what the test
	// waits for. Nothing is measured by it.
	starting = 2 * time.Minute
)

// pair is a segment with weir's host and keepalived's.
type pair struct {
	segment          *segment
	weir, keepalived *host
}

func newPair(t *testing.T) pair {
	t.Helper()
	t.Parallel()
	s := newSegment(t)
	return pair{s, s.host(t, "weir", "192.168.25.31"), s.host(t, "keepalived", "192.168.25.32")}
}

// wakeUps is how many programs have to wake up, one after the other, for what is waited for here:
// weir, keepalived, its child, and who looks. Each is as late as the machine makes it.
const wakeUps = 10

// eventually waits until the condition holds, and returns how long that took. A machine that
// is late with its looks is late with the rest, too: that is added to the bound.
func eventually(t *testing.T, what string, within time.Duration, holds func() bool) time.Duration {
	t.Helper()
	const every = 5 * time.Millisecond
	start, late := time.Now(), time.Duration(0)
	for last := start; !holds(); {
		time.Sleep(every)
		now := time.Now()
		late, last = max(late, now.Sub(last)-every), now
		if bound := within + wakeUps*late; now.Sub(start) > bound {
			t.Fatalf("not within %s, of which %s for the machine: %s", bound, wakeUps*late, what)
		}
	}
	took := time.Since(start)
	t.Logf("%s after %s", what, took.Round(time.Millisecond))
	return took
}

// holdsFor checks that a condition holds during all of this time.
func holdsFor(t *testing.T, what string, d time.Duration, holds func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-again.C {
		if !holds() {
			t.Fatalf("no longer: %s", what)
		}
	}
}

// weirOnly and keepalivedOnly say whether that host has the VIP and the other has not.
func (p pair) weirOnly(t *testing.T) func() bool {
	return func() bool { return p.weir.owns(t, vip) && !p.keepalived.owns(t, vip) }
}

func (p pair) keepalivedOnly(t *testing.T) func() bool {
	return func() bool { return !p.weir.owns(t, vip) && p.keepalived.owns(t, vip) }
}

// heard waits until weir has received n more valid adverts.
func heard(t *testing.T, w *weir, n uint64) {
	t.Helper()
	want := w.Snapshot().Counters.Received + n
	eventually(t, fmt.Sprintf("weir heard %d adverts", n), starting, func() bool { return w.Snapshot().Counters.Received >= want })
}

// noDrops expects that weir has dropped none of keepalived's adverts.
func noDrops(t *testing.T, w *weir) {
	t.Helper()
	if drops := w.Snapshot().Counters.Drops; drops != (vrrp.Drops{}) {
		t.Errorf("weir dropped %v", drops.ByName())
	}
}

// TestWeirMaster: keepalived accepts weir as master, takes over as soon as weir stops, and
// gives way when weir returns.
func TestWeirMaster(t *testing.T) {
	p := newPair(t)
	cfg := seedConfig(p.weir, 100)
	cfg.StartMaster = true
	w, _ := startWeir(t, p.weir, cfg)
	eventually(t, "weir has the VIP", advertInterval+skew100+grace, p.weirOnly(t))
	startKeepalived(t, p.keepalived, settings{State: "BACKUP", Priority: 90, Pass: "1111"})
	holdsFor(t, "weir alone has the VIP", 3*advertInterval+skew90+2*advertInterval, p.weirOnly(t))

	w.stop() // priority 0
	eventually(t, "keepalived has the VIP", skew90+grace, p.keepalivedOnly(t))

	w, _ = startWeir(t, p.weir, seedConfig(p.weir, 100))
	eventually(t, "weir preempted", 3*advertInterval+skew100+grace, p.weirOnly(t))
	holdsFor(t, "weir alone has the VIP", 2*advertInterval, p.weirOnly(t))
	noDrops(t, w)
}

// TestKeepalivedMaster: weir accepts keepalived as master, takes over when keepalived stops
// and when it is killed, and gives way when it returns.
func TestKeepalivedMaster(t *testing.T) {
	p := newPair(t)
	first := settings{State: "MASTER", Priority: 100, Pass: "1111"}
	k := startKeepalived(t, p.keepalived, first)
	w, o := startWeir(t, p.weir, seedConfig(p.weir, 90))
	eventually(t, "keepalived has the VIP", starting, p.keepalivedOnly(t))
	heard(t, w, 3)
	if state := w.Snapshot().State; state != vrrp.Backup {
		t.Errorf("weir is %s, want BACKUP", state)
	}
	if got, want := o.macOf(p.keepalived.addr), p.keepalived.dev.Attrs().HardwareAddr.String(); got != want {
		t.Errorf("weir heard keepalived at %q, want %s", got, want)
	}

	released := w.Snapshot().Counters.PriorityZeroReceived
	stopping := make(chan struct{})
	go func() { k.stop(); close(stopping) }()
	eventually(t, "weir heard priority 0", starting, func() bool { return w.Snapshot().Counters.PriorityZeroReceived > released })
	eventually(t, "weir has the VIP", skew90+grace, func() bool { return p.weir.owns(t, vip) })
	<-stopping
	eventually(t, "keepalived let go", starting, p.weirOnly(t))

	// After another start it preempts.
	k = startKeepalived(t, p.keepalived, first)
	eventually(t, "keepalived preempted", starting, p.keepalivedOnly(t))
	heard(t, w, 2)

	k.kill(t)
	took := eventually(t, "weir has the VIP", 3*advertInterval+skew90+grace, func() bool { return p.weir.owns(t, vip) })
	if least := 2*advertInterval + skew90 - grace; took < least {
		t.Errorf("weir took over %s after the death, sooner than %s: it did not wait for three adverts", took, least)
	}
	noDrops(t, w)
}

// TestPreempts: weir, with the higher priority, receives adverts of keepalived as master and
// takes over; keepalived receives weir's and gives way. That needs the right addressing and
// authentication in both directions.
func TestPreempts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pass string
		unicast    bool
	}{
		{"no authentication", "", false},
		{"PASS of eight characters", "12345678", false},
		{"unicast", "1111", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t)
			set, cfg := settings{State: "BACKUP", Priority: 90, Pass: tt.pass}, seedConfig(p.weir, 100)
			if cfg.Auth = vrrp.Password(tt.pass); tt.pass == "" {
				cfg.Auth = vrrp.Authentication{}
			}
			if tt.unicast {
				set.Peer = p.weir.addr.String()
				cfg.UnicastPeers = append(cfg.UnicastPeers, p.keepalived.addr)
			}
			startKeepalived(t, p.keepalived, set)
			eventually(t, "keepalived has the VIP", starting, p.keepalivedOnly(t))
			w, _ := startWeir(t, p.weir, cfg)
			heard(t, w, 2)
			eventually(t, "weir preempted", 3*advertInterval+skew100+grace, p.weirOnly(t))
			w.stop()
			eventually(t, "keepalived has the VIP again", skew90+grace, p.keepalivedOnly(t))
			noDrops(t, w)
		})
	}
}

// TestWrongPassword: each drops the other's adverts, and is master itself. weir starts as the
// second one, so that it counts adverts before it sends any: as master, keepalived 2.2.7
// delays its own advert by a whole interval for each advert that it drops.
func TestWrongPassword(t *testing.T) {
	p := newPair(t)
	k := startKeepalived(t, p.keepalived, settings{State: "BACKUP", Priority: 90, Pass: "1112"})
	eventually(t, "keepalived has the VIP", starting, p.keepalivedOnly(t))
	w, o := startWeir(t, p.weir, seedConfig(p.weir, 100))
	eventually(t, "weir dropped three adverts", starting, func() bool {
		return w.Snapshot().Counters.Drops[vrrp.DropAuthFailure] >= 3
	})
	eventually(t, "weir has the VIP, too", starting, func() bool { return p.weir.owns(t, vip) })
	eventually(t, "keepalived dropped three adverts", starting, func() bool {
		return strings.Count(k.log(t), "received an invalid passwd") >= 3
	})
	if got := w.Snapshot(); got.Counters.Received != 0 || got.State != vrrp.Master || o.macOf(p.keepalived.addr) != "" {
		t.Errorf("weir is %s and took %d adverts, want MASTER and none", got.State, got.Counters.Received)
	}
	if !p.keepalived.owns(t, vip) {
		t.Error("keepalived gave way to an advert with another password")
	}
}

// TestPartition: the segment is split, so that both are master, and joined again.
func TestPartition(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		weir, kept int // priorities
		want       func(pair, *testing.T) func() bool
	}{
		{"weir is higher", 100, 90, pair.weirOnly},
		{"keepalived is higher", 90, 100, pair.keepalivedOnly},
		{"equal, keepalived's address is higher", 100, 100, pair.keepalivedOnly},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t)
			p.segment.split(t, true)
			startKeepalived(t, p.keepalived, settings{State: "BACKUP", Priority: tt.kept, Pass: "1111"})
			w, _ := startWeir(t, p.weir, seedConfig(p.weir, uint8(tt.weir)))
			eventually(t, "both have the VIP", starting, func() bool { return p.weir.owns(t, vip) && p.keepalived.owns(t, vip) })
			p.segment.split(t, false)
			eventually(t, "one has the VIP", 2*advertInterval+grace, tt.want(p, t))
			holdsFor(t, "it keeps the VIP", 2*advertInterval, tt.want(p, t))
			noDrops(t, w)
		})
	}
}
