package ha

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"weir/conf"
	"weir/internal/vip"
	"weir/lvs"
	"weir/vrrp"
)

// Kept is a mastership that a process leaves for the next one on this machine.
type Kept struct {
	ID     lvs.InstanceID
	Config vrrp.Config
	Link   LinkConfig
	VIPs   vip.Wanted
}

// Kept lists the masterships that suspended instances have left. It is called when all
// have ended.
func (s *Instances) Kept() (kept []Kept) {
	for _, in := range s.list {
		if in.machine == nil || in.machine.Snapshot().State != vrrp.Master {
			continue
		}
		kept = append(kept, Kept{ID: in.id, Config: in.machineOf(in.cfg), Link: linkOf(in.cfg), VIPs: wantedOf(in.cfg)})
	}
	return kept
}

// LeftBy lists the masterships of a configuration that a process that has died may have
// left; the bindings are those of its instances. Instances that cannot take part are left
// out: whoever runs them says why.
func LeftBy(leases Leases, cfgs []conf.VRRPInstance, bindings []Binding) (left []Kept) {
	for i, c := range cfgs {
		leased, err := leases.Leased(ID(c))
		if err != nil || !leased || bindings[i].Fault != "" {
			continue
		}
		c = bindings[i].on(c)
		left = append(left, Kept{ID: ID(c), Config: machineOf(c), Link: linkOf(c), VIPs: wantedOf(c)})
	}
	return left
}

// Keep goes on with masterships until ctx ends, and then hands them over as a director
// that is stopped does; or, where leaving is set by then, leaves them as they are. What is
// no more as the process before left it is left alone: a lease that has run out, VIPs that
// are not here.
func Keep(ctx context.Context, m Machine, list []Kept, leaving *atomic.Bool) error {
	m.suspended = leaving
	var wanted []vip.Wanted
	for _, k := range list {
		wanted = append(wanted, k.VIPs)
	}
	if _, err := m.VIPs.Set(wanted); err != nil { // nobody is here yet: nothing is added
		return err
	}
	var tasks errgroup.Group
	var errs []error
	for _, k := range list {
		o, err := m.keep(k)
		if err != nil {
			errs = append(errs, fmt.Errorf("vrrp_instance %s: %w", k.Config.Name, err))
		}
		if o != nil {
			tasks.Go(func() error { return o.run(ctx) })
		}
	}
	return errors.Join(append(errs, tasks.Wait())...)
}

// keep makes the owner of a mastership that goes on; nil where it does not.
func (m *Machine) keep(k Kept) (*owner, error) {
	if leased, err := m.Leases.Leased(k.ID); err != nil || !leased {
		return nil, err
	}
	if here, err := m.VIPs.Complete(ownerOf(k.ID)); err != nil || !here {
		return nil, err
	}
	link, err := m.Open(k.Link)
	if err != nil {
		return nil, err
	}
	k.Config.Resume = true
	o := newOwner(k.ID, m, terms{name: k.Config.Name, lease: k.Config.Lease(), link: link})
	if o.machine, err = vrrp.New(k.Config, link, o, m.Log); err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return o, nil
}
