package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/netlnk"
	"weir/lvs"
	"weir/vrrp"
)

// ErrStopped says that the director runs no more.
var ErrStopped = errors.New("weir is stopping")

// Plan tells what Reload would change. The error is what would keep it from that.
func (d *Director) Plan(cfg *conf.Config) (changes Changes, err error) {
	asked := d.ask(context.Background(), func() {
		var next picture
		next, changes = d.next(cfg)
		d.describe(&changes, cfg)
		err = d.plane.Check(d.planOf(next))
	})
	if asked != nil {
		return Changes{}, asked
	}
	return changes, err
}

// Reload has the director do what another configuration says: all of it, or, with
// an error, none.
func (d *Director) Reload(cfg *conf.Config) (changes Changes, err error) {
	if asked := d.ask(context.Background(), func() { changes, err = d.reload(cfg) }); asked != nil {
		return Changes{}, asked
	}
	return changes, err
}

func (d *Director) reload(cfg *conf.Config) (Changes, error) {
	next, changes := d.next(cfg)
	d.describe(&changes, cfg)
	if err := d.become(next); err != nil {
		return changes, fmt.Errorf("%w; everything is as it was", err)
	}
	return changes, nil
}

// ask has the loop's goroutine answer. With an error it may not have, or do so later.
func (d *Director) ask(ctx context.Context, question func()) error {
	answered := make(chan struct{})
	select {
	case d.events <- func(*Director) func() {
		defer close(answered)
		question()
		return nil
	}:
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-answered:
		return nil
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// become makes the next picture the one in force. What can fail comes first, each
// step with its way back; what follows cannot. A server that stays is in its
// service's table all the time: Set changes each table in one stroke.
func (d *Director) become(next picture) error {
	var undo []func() error
	if err := d.prepare(next, &undo); err != nil {
		for _, back := range slices.Backward(undo) {
			if e := back(); e != nil {
				d.stream.Publish(cluster.PutBackFailed(e))
			}
		}
		return err
	}
	d.commit(next)
	return nil
}

// prepare does what can fail, and notes how it is put back.
func (d *Director) prepare(next picture, undo *[]func() error) error {
	plan := d.planOf(next)
	if err := d.plane.Check(plan); err != nil {
		return err
	}
	if err := next.validate(d); err != nil {
		return err
	}
	for _, c := range next.cfg.VRRPInstances {
		if err := d.prepareInstance(c, undo); err != nil {
			return fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
		}
	}
	if err := d.serveMore(next, undo); err != nil {
		return err
	}
	before := d.plan()
	*undo = append(*undo, func() error { return d.plane.Set(before) })
	if err := d.plane.Set(plan); err != nil {
		return err
	}
	for _, in := range d.instances {
		if in.prepared == nil {
			continue
		}
		added, err := in.addVIPs(without(in.prepared.cfg.Addresses(), in.cfg.Addresses()))
		*undo = append(*undo, func() error { return in.removeVIPs(added) })
		if err != nil {
			return err
		}
	}
	return nil
}

// validate holds the checks to what a Runner can do.
func (p picture) validate(d *Director) error {
	for _, pool := range p.pools {
		for _, m := range pool.members {
			for _, probe := range m.probes {
				if probe.stop != nil {
					continue
				}
				if err := d.runner(probe).Timing.Validate(); err != nil {
					return fmt.Errorf("virtual server %s: real server %s: %w", pool.name, m.server.AddrPort(), err)
				}
			}
		}
	}
	return nil
}

// prepared is what an instance becomes by a reload.
type prepared struct {
	cfg  conf.VRRPInstance
	link *vrrp.Link // nil where the one that there is does
	// device is the interface's that the link was opened on.
	device int
}

// prepareInstance opens what a new or changed instance needs.
func (d *Director) prepareInstance(c conf.VRRPInstance, undo *[]func() error) error {
	c, err := withSource(c)
	if err != nil {
		return err
	}
	machine := machineOf(c)
	if err := machine.Validate(); err != nil {
		return err
	}
	if in := d.instance(idOf(c)); in != nil {
		return in.prepare(c, d, undo)
	}
	in, err := d.openInstance(c)
	if err != nil {
		return err
	}
	d.opened = append(d.opened, in)
	*undo = append(*undo, func() error {
		in.close()
		d.opened = nil
		return nil
	})
	return in.build(false, d.log)
}

// prepare gets ready for another configuration, unless it is the same.
func (in *instance) prepare(c conf.VRRPInstance, d *Director, undo *[]func() error) error {
	if len(compareInstance(in.cfg, c)) == 0 {
		return nil
	}
	p := &prepared{cfg: c}
	if in.cfg.SourceIP != c.SourceIP || !slices.Equal(in.cfg.UnicastPeers(), c.UnicastPeers()) {
		var err error
		if p.device, err = deviceOf(c.Interface); err != nil {
			return err
		}
		if p.link, err = openLink(c, d.log); err != nil {
			return err
		}
	}
	in.prepared = p
	*undo = append(*undo, func() error {
		in.prepared = nil
		if p.link != nil {
			return p.link.Close()
		}
		return nil
	})
	return nil
}

// serveMore sets this machine up as a real server for more VIPs than before, or beside
// instances on other devices.
func (d *Director) serveMore(next picture, undo *[]func() error) error {
	was := append(d.servedHere(d.picture, lvs.DirectRoute), d.servedHere(d.picture, lvs.Tunnel)...)
	now := append(d.servedHere(next, lvs.DirectRoute), d.servedHere(next, lvs.Tunnel)...)
	more := slices.DeleteFunc(slices.Compact(slices.Clone(now)), func(vip netip.Addr) bool { return slices.Contains(was, vip) })
	moved := !slices.Equal(d.vipDevices(), next.vipDevices())
	if len(more) == 0 && !moved {
		return nil
	}
	*undo = append(*undo, func() (err error) {
		if len(more) > 0 {
			err = d.realserver.Stop(more)
		}
		return errors.Join(err, d.serveHere(d.picture))
	})
	return d.serveHere(next)
}

// commit puts the prepared in force. Nothing of it can fail but for addresses that
// somebody else has taken away already.
func (d *Director) commit(next picture) {
	wanted := map[lvs.InstanceID]bool{}
	for _, c := range next.cfg.VRRPInstances {
		wanted[idOf(c)] = true
	}
	var stay []*instance
	fresh := map[*instance][]conf.VIP{}
	for _, in := range d.instances {
		if !wanted[in.id] {
			in.leave()
			continue
		}
		fresh[in] = in.commit()
		stay = append(stay, in)
	}
	for in, vips := range fresh {
		// Again, as one instance may have given up what another takes.
		if _, err := in.addVIPs(vips); err != nil {
			in.tell(cluster.VIPsAddFailed(in.name, err))
		}
		in.announce(vips, max(in.cfg.GARPRepeat, 1))
	}
	for _, in := range d.opened {
		in.vrrp.SetFault(in.fault())
		in.stop = d.start(in.run)
		stay = append(stay, in)
	}
	d.instances, d.opened = stay, nil
	for peer := range d.directors {
		if !wanted[peer.instance] {
			delete(d.directors, peer)
		}
	}
	d.setProbes(next.pools)
	d.picture, d.loaded = next, time.Now()
}

func (d *Director) instance(id lvs.InstanceID) *instance {
	i := slices.IndexFunc(d.instances, func(in *instance) bool { return in.id == id })
	if i < 0 {
		return nil
	}
	return d.instances[i]
}

// run is the instance's task.
func (in *instance) run(ctx context.Context) error {
	defer in.close()
	return in.vrrp.Run(ctx)
}

// addVIPs puts addresses on their devices where the instance is master, and
// returns those that were not there.
func (in *instance) addVIPs(vips []conf.VIP) (added []conf.VIP, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.claim != claimed {
		return nil, nil
	}
	for _, vip := range vips {
		changed, err := netlnk.AddAddress(vip.Device, vip.Prefix)
		if err != nil {
			return added, fmt.Errorf("add VIP: %w", err)
		}
		if changed {
			added = append(added, vip)
		}
	}
	return added, nil
}

// without lists the VIPs that others does not have.
func without(vips, others []conf.VIP) []conf.VIP {
	return slices.DeleteFunc(slices.Clone(vips), func(vip conf.VIP) bool {
		return slices.ContainsFunc(others, func(v conf.VIP) bool { return v.Prefix == vip.Prefix && v.Device == vip.Device })
	})
}

// commit goes on as prepared: by another configuration, and without the addresses
// that it has no more. It returns those that a master has anew.
func (in *instance) commit() (fresh []conf.VIP) {
	p := in.prepared
	if in.prepared = nil; p == nil {
		return nil
	}
	machine := machineOf(p.cfg)
	in.mu.Lock()
	defer in.mu.Unlock()
	was, oldLink := in.cfg, in.link
	in.cfg, in.lease = p.cfg, machine.Lease()
	if in.claim == claimed {
		fresh = without(p.cfg.Addresses(), was.Addresses())
		if err := in.removeVIPs(without(was.Addresses(), p.cfg.Addresses())); err != nil {
			in.tell(cluster.VIPsRemoveFailed(in.name, err))
		}
	}
	if p.link == nil {
		in.vrrp.Reconfigure(machine, nil, nil)
		return fresh
	}
	in.link, in.device = p.link, p.device
	in.vrrp.Reconfigure(machine, p.link, func() { oldLink.Close() })
	return fresh
}

// leave ends an instance that no plan has any more.
func (in *instance) leave() {
	in.mu.Lock()
	if in.claim == claimed {
		if err := in.removeVIPs(in.cfg.Addresses()); err != nil {
			in.tell(cluster.VIPsRemoveFailed(in.name, err))
		}
	}
	in.claim, in.gone = unclaimed, true
	in.mu.Unlock()
	in.stop()
}
