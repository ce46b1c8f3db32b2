package ha

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/internal/netlnk/fakenet"
	"weir/internal/vip"
)

// keepOn goes on with masterships on a machine until the returned function is called.
func keepOn(t *testing.T, m *fakenet.Machine, kept []Kept) (end func()) {
	t.Helper()
	log := drift.NewLedger(discard)
	vips := vip.New(m, announcer{m}, log, vip.Reports{Failed: func([]vip.Failure) {}, Unheard: func(string, netip.Addr, error) {}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Keep(ctx, Machine{
			Leases: m, VIPs: vips, Log: discard, Tell: func(cluster.Event) {}, Learn: func(Heard) bool { return true },
			Open: func(c LinkConfig) (Transport, error) {
				t, err := m.OpenLink(c)
				if err != nil {
					return nil, err
				}
				return t, nil
			},
		}, kept, new(atomic.Bool))
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A suspended master leaves its mastership; who keeps it goes on with it so that the
// standby notices nothing, and hands it over in the end.
func TestKeep(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m1, m2 *fakenet.Machine) {
		master, standby := on(51, 200, vip1), on(51, 100, vip1)
		b, o := newBed(t, m1, master), newBed(t, m2, standby)
		stop := b.run()
		defer o.run()()
		time.Sleep(5 * time.Second)
		b.want("VI_51 master", vip1)
		b.Suspend(true)
		stop()
		kept := b.Kept()
		if len(kept) != 1 || kept[0].ID != ID(master) {
			t.Fatalf("kept %+v, want the mastership", kept)
		}
		if has := m1.Prefixes("eth0")[1:]; !slices.Contains(has, netip.MustParsePrefix(vip1)) {
			t.Errorf("a suspended master has %v, want its VIP", has)
		}
		time.Sleep(time.Second)
		end := keepOn(t, m1, kept)
		time.Sleep(time.Minute)
		o.want("VI_51 backup", "")
		if leased, err := m1.Leased(ID(master)); err != nil || !leased {
			t.Errorf("leased: %t, %v", leased, err)
		}
		begun := time.Now()
		end()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the hand-over took %v", took)
		}
		o.want("VI_51 master", vip1)
		if has := m1.Prefixes("eth0")[1:]; len(has) > 0 {
			t.Errorf("after the hand-over it has %v", has)
		}
	})
}

// What is no more as it was left is left alone: another director may be master.
func TestKeepNothing(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m1, _ *fakenet.Machine) {
		b := newBed(t, m1, on(51, 200, vip1))
		stop := b.run()
		time.Sleep(5 * time.Second)
		b.Suspend(true)
		stop()
		time.Sleep(10 * time.Second) // the lease has run out
		keepOn(t, m1, b.Kept())()
		if len(m1.Prefixes("eth0")) != 2 {
			t.Errorf("it has %v, want what there was", m1.Prefixes("eth0"))
		}
	})
}

// A backup leaves nothing.
func TestSuspendedBackup(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m1, _ *fakenet.Machine) {
		b := newBed(t, m1, on(51, 200, vip1))
		stop := b.run()
		b.Suspend(true)
		stop()
		if kept := b.Kept(); len(kept) > 0 {
			t.Errorf("kept %+v, want nothing", kept)
		}
	})
}

var discard = slog.New(slog.DiscardHandler)
