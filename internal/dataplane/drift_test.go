package dataplane

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
	"weir/internal/dataplane/kmap"
	"weir/internal/drift"
	"weir/internal/netlnk/nstest"
	"weir/internal/sched"
	"weir/lvs"
)

// repairBound is how soon a drift is repaired; driftSlack is for a busy machine.
const (
	repairBound = 2 * time.Second
	driftSlack  = 28 * time.Second
)

// driftPlan uses every table that Go writes.
func driftPlan() lvs.Plan {
	tunnelled := real("192.0.2.13", 1)
	tunnelled.Method, tunnelled.Port = lvs.Tunnel, 81
	behind := virtual(lvs.TCP, vip4, lvs.LeastConnection, tunnelled)
	behind.Port = 81
	limited := real("192.0.2.14", 3)
	limited.Upper, limited.Lower, limited.Port = 100, 50, 82
	heavy := virtual(lvs.UDP, vip4, lvs.WeightedRoundRobin, limited)
	heavy.Port = 82
	marked := lvs.VirtualServer{ServiceKey: lvs.MarkKey(7, false), Scheduler: lvs.SourceHash, RealServers: []lvs.RealServer{real("192.0.2.11", 1)}}
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1)), behind, heavy, marked)
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: []netip.Addr{vip4}}}
	plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	plan.Marks = []lvs.MarkRule{{Mark: 7, Destination: netip.MustParsePrefix("203.0.113.0/24")}}
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
	return plan
}

// withDrift runs the body beside the data plane's Run.
func withDrift(t *testing.T, plan lvs.Plan, body func(b *bench)) {
	withDriftLog(t, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), plan, body)
}

func withDriftLog(t *testing.T, log *slog.Logger, plan lvs.Plan, body func(b *bench)) {
	withLog(t, log, plan, func(b *bench) {
		b.compareEvery = compareEvery / 40 // test/cluster has the true pace
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go b.ns.Do(func() { ended <- b.Run(ctx) })
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		body(b)
	})
}

// Somebody changes one thing: within the bound the kernel's side is as it was, the
// drift is counted, and new connections reach their servers.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel() // it waits more than it works; so do the others
	withDrift(t, driftPlan(), func(b *bench) {
		b.renew(t, time.Hour)
		want := b.contents(t)
		port := 2000
		for _, tt := range driftCases {
			t.Run(tt.name, func(t *testing.T) {
				before := b.drifts(t)[tt.kind]
				b.do(t, tt.do)
				begun := time.Now()
				for wrong := "?"; wrong != ""; time.Sleep(20 * time.Millisecond) {
					now := b.drifts(t)[tt.kind]
					wrong = b.differs(t, want)
					if now.Found == before.Found || now.Repaired < now.Found {
						wrong += fmt.Sprintf("counted %s of %s, before %s", now, tt.kind, before)
					}
					if took := time.Since(begun); took > repairBound+driftSlack {
						t.Fatalf("not repaired after %s: %s", took, wrong)
					}
				}
				t.Logf("repaired after %s", time.Since(begun).Round(time.Millisecond))
				for _, server := range []string{"rs2", "rs1"} {
					port++
					if got := b.pick(t, places[0], syn(port)); got != "rs1" && got != "rs2" {
						t.Errorf("a client gets %q, want a server like %s", got, server)
					}
				}
			})
		}
		for kind, count := range b.drifts(t) {
			if count.Found != count.Repaired || kind == kmap.CompareKind {
				t.Errorf("%s: %s", kind, count)
			}
		}
	})
}

// do spoils what is compared, between two comparisons.
func (b *bench) do(t *testing.T, spoil func(b *bench) error) {
	t.Helper()
	b.repairing.Lock()
	defer b.repairing.Unlock()
	if err := spoil(b); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) drifts(t *testing.T) map[string]drift.Count {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.Drift
}

// After plans of every kind, with traffic, sweeps and leases that are renewed,
// nothing is taken for drift.
func TestNoDriftWithoutOne(t *testing.T) {
	t.Parallel()
	var schedulerPlans []lvs.Plan
	for _, row := range sched.Rows() {
		schedulerPlans = append(schedulerPlans, twoServers(row.Name))
	}
	plans := append(schedulerPlans, everythingPlan(), driftPlan(), lvs.Plan{}, driftPlan())
	withDrift(t, lvs.Plan{}, func(b *bench) {
		for i, plan := range plans {
			plan.Devices = []lvs.Device{{Name: "eth0", Hook: []lvs.Hook{lvs.HookTC, lvs.HookGeneric, lvs.HookNative}[i/5%3]}}
			b.set(t, plan)
			if len(plan.Instances) > 0 {
				b.renew(t, time.Minute)
			}
			b.picks(t, places[i%2], 1000*(1+i%50), 20)
			if i%4 == 3 || i >= len(schedulerPlans) {
				b.compared(t)
			}
		}
		for range 3 {
			b.compared(t)
		}
		if got := b.drifts(t); len(got) > 0 {
			t.Errorf("counted %v on a machine that nobody touched", got)
		}
	})
}

// compared waits until everything has been compared once more.
func (b *bench) compared(t *testing.T) {
	t.Helper()
	first := b.ledger.Looks()
	nstest.WaitFor(t, "a comparison that began after this", func() bool { return b.ledger.Looks() >= first+2 })
}

// What cannot be repaired is told when it begins and when it has been repaired, and
// counted once.
func TestDriftIsToldOnce(t *testing.T) {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookNative}}}
	var log lockedBuffer
	withLog(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), plan, func(b *bench) {
		log.reset() // of what attaching said
		other, err := passing(ebpf.XDP)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := b.detach("ingress", b.index); err != nil {
			t.Fatal(err)
		}
		theirs, err := link.AttachXDP(link.XDPOptions{Interface: b.index, Program: other, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			b.repairContents()
		}
		if err := theirs.Close(); err != nil {
			t.Fatal(err)
		}
		nstest.WaitFor(t, "attached again", func() bool {
			b.repairContents()
			return b.drifts(t)[attach.Kind].Repaired == 1
		})
		for range 3 {
			b.repairContents()
		}
		if n := strings.Count(log.String(), `msg="drift`); n != 2 || !strings.Contains(log.String(), "cannot be repaired") {
			t.Errorf("%d lines of drift, want 2:\n%s", n, log.String())
		}
		if got, want := b.drifts(t)[attach.Kind], (drift.Count{Found: 1, Repaired: 1}); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	})
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A table in force is the data plane's alone.
func TestTablesInForceAreFrozen(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		_, s := b.serviceOf(80)
		var table *ebpf.Map
		if err := b.maps.Tables.Lookup(s.Index, &table); err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		if err := table.Put(uint32(0), abi.Row{}); err == nil {
			t.Error("a table in force could be written to")
		}
		if got := b.picks(t, places[0], 1, 4); got != "rs2 rs1 rs2 rs1" {
			t.Errorf("picked %s, want the cursor to go on", got)
		}
	})
}

// Two that run on the same pins would undo each other's work.
func TestOneRunsOnThePins(t *testing.T) {
	withPlane(t, driftPlan(), func(b *bench) {
		if err := b.pins.Own(); err != nil {
			t.Fatal(err)
		}
		defer b.pins.Disown()
		err := b.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "another weir") || !strings.Contains(err.Error(), b.pinDir) {
			t.Errorf("got %v, want that another weir has the pins", err)
		}
	})
}
