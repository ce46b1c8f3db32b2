package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/lvs"
)

// Plan tells what Reload would change. The error is what would keep it from that.
func (d *Director) Plan(cfg *conf.Config) (changes Changes, err error) {
	asked := d.ask(context.Background(), "a plan", func() {
		var next picture
		next, changes = d.next(cfg)
		d.describe(&changes, cfg)
		var w wanted
		if w, err = d.want(next); err == nil {
			err = d.check(next, w)
		}
	})
	if asked != nil {
		return Changes{}, asked
	}
	return changes, err
}

// Reload has the director do what another configuration says: all of it, or, with
// an error, none.
func (d *Director) Reload(cfg *conf.Config) (changes Changes, err error) {
	if asked := d.ask(context.Background(), "a reload", func() { changes, err = d.reload(cfg) }); asked != nil {
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

// describe fills in what is so at the moment: connections, and VRRP states.
func (d *Director) describe(c *Changes, cfg *conf.Config) {
	known := map[lvs.ServiceKey]map[netip.AddrPort]int{}
	live := func(key lvs.ServiceKey) map[netip.AddrPort]int {
		if known[key] == nil {
			known[key] = d.machine.Plane.Counters.Live(key)
		}
		return known[key]
	}
	for i := range c.Services {
		c.Services[i].Count(live)
	}
	for i := range c.Instances {
		d.instances.Describe(&c.Instances[i], cfg.VRRPInstances)
	}
}

// become makes the next picture the one in force. What can fail comes first, each
// step with its way back; what follows cannot. A server that stays is in its
// service's table all the time: Set changes each table in one stroke.
func (d *Director) become(next picture) error {
	w, err := d.want(next)
	if err != nil {
		return err
	}
	var undo []func() error
	if err := d.try("the preparation of a reload", func() error { return d.prepare(next, w, &undo) }); err != nil {
		for _, back := range slices.Backward(undo) {
			if e := d.try("the way back from a reload", back); e != nil {
				d.stream.Publish(cluster.PutBackFailed(e))
			}
		}
		return err
	}
	for _, step := range []func(){
		func() {
			d.setPaces(next.cfg)
			d.shared.Scripts.Store(check.ScriptsOf(&next.cfg.Global))
			d.instances.Track(ha.TrackingOf(next.cfg), d.trackers.Set(next.cfg))
		},
		func() { d.instances.Commit(next.cfg.VRRPInstances) },
		func() {
			d.checks.Loud.Store(next.cfg.Global.LogAllFailures)
			d.checks.Set(d.pools, next.pools)
		},
		func() { d.picture, d.inForce, d.loaded = next, w, time.Now() },
		func() { d.instances.Follow(w.instances, d.drift) },
		d.watchConflicts,
		d.forgetTroubles,
		d.tellQuorums,
	} {
		d.carefully("the end of a reload", step) // what follows a panic still has to be done
	}
	return nil
}

// tellQuorums tells of the quorums that the change lost or gained.
func (d *Director) tellQuorums() {
	for _, e := range d.pools.Quorums() {
		d.stream.Publish(e)
	}
}

// check says what of a picture cannot be, and does nothing.
func (d *Director) check(next picture, w wanted) error {
	return errors.Join(next.missing(&d.picture, &d.surroundings), d.instances.Check(next.cfg.VRRPInstances, w.instances),
		d.machine.Plane.Forwarder.Check(d.planOf(next, w)))
}

// try is carefully for what may fail: a panic is an error, too.
func (d *Director) try(doing string, do func() error) (err error) {
	if caught := d.carefully(doing, func() { err = do() }); caught != nil {
		return caught
	}
	return err
}

// prepare does what can fail, and notes how it is put back.
func (d *Director) prepare(next picture, w wanted, undo *[]func() error) error {
	plan := d.planOf(next, w)
	if err := d.check(next, w); err != nil {
		return err
	}
	if err := next.pools.Validate(); err != nil {
		return err
	}
	client, err := check.LoadClient(next.cfg.SSL)
	if err != nil {
		return err
	}
	hadClient := d.shared.Client.Swap(client)
	*undo = append(*undo, func() error { d.shared.Client.Store(hadClient); return nil })
	if err := d.instances.Prepare(next.cfg.VRRPInstances, w.instances, undo); err != nil {
		return err
	}
	if err := d.serveMore(w.served, undo); err != nil {
		return err
	}
	before := d.plan()
	*undo = append(*undo, func() error { return d.plane.Set(before) })
	if err := d.plane.Set(plan); err != nil {
		return err
	}
	*undo = append(*undo, d.instances.SetStatic(next.cfg.Machine, next.cfg.Global.DefaultInterface))
	return d.instances.SetVIPs(next.cfg.VRRPInstances)
}

// serveMore sets this machine up as a real server for more VIPs than before, or beside
// instances on other devices.
func (d *Director) serveMore(next served, undo *[]func() error) error {
	was := d.inForce.served
	old, now := slices.Concat(was.direct, was.tunnelled), slices.Concat(next.direct, next.tunnelled)
	more := slices.DeleteFunc(slices.Compact(now), func(vip netip.Addr) bool { return slices.Contains(old, vip) })
	if len(more) == 0 && slices.Equal(was.devices, next.devices) {
		return nil
	}
	*undo = append(*undo, func() (err error) {
		if len(more) > 0 {
			err = d.machine.Real.Stop(more)
		}
		return errors.Join(err, d.serveHere(was))
	})
	return d.serveHere(next)
}
