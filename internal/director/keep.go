package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/drift"
	"weir/internal/vip"
	"weir/internal/vmac"
)

// Kept is a mastership that a process leaves for the next one.
type Kept = ha.Kept

// Suspend says whether a Run that ends from now on, for whatever reason, leaves masterships
// as they are, for the next process or for Keep. Any goroutine may call it.
func (d *Director) Suspend(yes bool) { d.instances.Suspend(yes) }

// Kept are the masterships that Run has left. It is called after Run.
func (d *Director) Kept() []Kept { return d.instances.Kept() }

// LeftBy lists the masterships of a configuration whose leases still run: a process that has
// died has left them. The error is that of a look at the machine.
func LeftBy(m Machine, cfg *conf.Config) ([]Kept, error) {
	picture, err := m.Routes.Look()
	if err != nil {
		return nil, fmt.Errorf("look at this machine's devices: %w", err)
	}
	return ha.LeftBy(m.Plane.Leases, cfg.VRRPInstances, ha.Bindings(cfg.VRRPInstances, picture)), nil
}

// Keep goes on with masterships that another process has left, until ctx ends. Then it hands
// them over or, where leaving is set, leaves them as they are.
func Keep(ctx context.Context, m Machine, log *slog.Logger, kept []Kept, leaving *atomic.Bool) error {
	vips := vip.New(m.Addresses, m.Announcer, drift.NewLedger(log), vip.Reports{
		Failed:  func(failed []vip.Failure) { log.Warn("keep VIPs", "error", vip.Join(failed)) },
		Unheard: func(label string, a netip.Addr, err error) { log.Warn("announce VIP", "vip", a, "error", err) },
	})
	err := ha.Keep(ctx, ha.Machine{
		Leases: m.Plane.Leases, VIPs: vips, Log: log,
		Open:  func(c ha.LinkConfig) (ha.Transport, error) { return m.OpenLink(c, log) },
		Tell:  func(e cluster.Event) { log.Log(context.Background(), e.Level, e.Message, "why", e.Reason) },
		Learn: func(ha.Heard) bool { return true },
	}, kept, leaving)
	if !leaving.Load() && m.VMACs != nil {
		_, failed := m.VMACs.RemoveOthers(nil)
		err = errors.Join(err, failed, m.Secondaries.PutBack(nil))
	}
	return err
}

// RemoveVIPs removes the addresses that a weir that has ended has left on devices, and the
// devices that it has made for them, and lists them in words. What devices were set to before
// stands in the file secondaries, and is put back.
func RemoveVIPs(secondaries string) (removed []string, err error) {
	log := slog.New(slog.DiscardHandler)
	left, err := vip.New(vip.Kernel{}, vip.Kernel{}, drift.NewLedger(log), vip.Reports{}).ClearLeft()
	for _, a := range left {
		removed = append(removed, a.String())
	}
	devices, failed := vmac.Kernel{}.RemoveOthers(nil)
	for _, name := range devices {
		removed = append(removed, "device "+name)
	}
	return removed, errors.Join(err, failed, vip.Secondaries{File: secondaries}.PutBack(nil))
}
