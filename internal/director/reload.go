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
	"weir/internal/director/pool"
	"weir/internal/script"
	"weir/lvs"
)

// turnServers bounds how many real servers a turn of the loop works on for a reload: what
// happens meanwhile waits for a turn and not for a reload.
const turnServers = 512

// Plan tells what Reload would change. The error is what would keep it from that.
func (d *Director) Plan(cfg *conf.Config) (Changes, error) {
	defer d.alone()()
	c, err := d.workOut("a plan", cfg)
	defer d.forget()
	if err != nil {
		return Changes{}, err
	}
	d.count(&c.changes)
	return c.changes, d.refused("a plan", c)
}

// Reload has the director do what another configuration says: all of it, or, with
// an error, none.
func (d *Director) Reload(cfg *conf.Config) (Changes, error) {
	defer d.alone()()
	c, err := d.workOut("a reload", cfg)
	defer d.forget()
	if err != nil {
		return Changes{}, err
	}
	d.count(&c.changes)
	switch err := d.become(c); {
	case errors.Is(err, ErrStopped):
		return Changes{}, err
	case err != nil:
		return c.changes, fmt.Errorf("%w; everything is as it was", err)
	}
	if d.machine.Reloaded != nil {
		d.machine.Reloaded(cfg)
	}
	return c.changes, nil
}

// alone waits until no other plan or reload is under way.
func (d *Director) alone() (over func()) {
	d.reloads <- struct{}{}
	return func() { <-d.reloads }
}

// turn has the loop do a part of a plan or a reload.
func (d *Director) turn(doing string, part func() error) (err error) {
	if asked := d.ask(context.Background(), doing, func() { err = part() }); asked != nil {
		return asked
	}
	return err
}

// workOut works out, in turns, what a configuration leads to.
func (d *Director) workOut(doing string, cfg *conf.Config) (c *coming, err error) {
	err = d.turn(doing, func() error {
		c = d.begin(cfg)
		for i := range c.changes.Instances {
			d.instances.Describe(&c.changes.Instances[i], cfg.VRRPInstances)
		}
		d.coming = c
		return nil
	})
	for more := true; more && err == nil; {
		err = d.turn(doing, func() error { more = c.some(turnServers); return nil })
	}
	if err != nil {
		return nil, err
	}
	// Then want is quick.
	return c, d.eachPart(doing, func() pool.Pools { return c.pools }, d.surroundings.find)
}

// eachPart does something with pools, in turns. The loop calls all.
func (d *Director) eachPart(doing string, all func() pool.Pools, do func(pool.Pools) error) (err error) {
	for next, more := 0, true; more && err == nil; more = next > 0 {
		err = d.turn(doing, func() error {
			var part pool.Pools
			part, next = all().Part(next, turnServers)
			return do(part)
		})
	}
	return err
}

// forget ends a plan or a reload.
func (d *Director) forget() {
	_ = d.turn("the end of a reload", func() error { d.coming = nil; return nil }) // a stopped loop has forgotten
}

// count fills in the connections of the moment. It takes no turn.
func (d *Director) count(c *Changes) {
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
}

// refused says what of a picture cannot be, and does nothing.
func (d *Director) refused(doing string, c *coming) error {
	var plan lvs.Plan
	err := d.turn(doing, func() (err error) {
		if c.wanted, err = d.want(c.picture); err != nil {
			return err
		}
		plan = d.planOf(c.picture, c.wanted)
		return errors.Join(c.missing(&d.picture, &d.surroundings), d.instances.Check(c.cfg.VRRPInstances, c.wanted.instances))
	})
	if errors.Is(err, ErrStopped) {
		return err
	}
	return errors.Join(err, d.try(doing, func() error { return d.machine.Plane.Forwarder.Check(plan) }))
}

// become makes the next picture the one in force. What can fail comes first, each
// step with its way back; what follows cannot. A server that stays is in its
// service's table all the time: Set changes each table in one stroke.
func (d *Director) become(c *coming) error {
	var undo []func() error
	err := d.prepare(c, &undo)
	switch {
	case err == nil:
		d.commit(c)
	case !errors.Is(err, ErrStopped):
		d.putBack(c, undo)
	}
	return err
}

// putBack goes the ways back of what has been prepared, the last first.
func (d *Director) putBack(c *coming, undo []func() error) {
	var errs []error
	if c.handed {
		c.handed = false
		errs = append(errs, d.changePlane())
	}
	_ = d.turn("the way back from a reload", func() error { // a stopped loop has no way back
		for _, back := range slices.Backward(undo) {
			errs = append(errs, d.try("the way back from a reload", back))
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		d.stream.Publish(cluster.PutBackFailed(err))
	}
}

// changePlane has the data plane do what the plan says, and waits for it.
func (d *Director) changePlane() error {
	set := make(chan error, 1)
	if err := d.turn("a reload", func() error {
		d.plane.Change(d.plan(), func(err error) { set <- err })
		return nil
	}); err != nil {
		return err
	}
	select {
	case err := <-set:
		return err
	case <-d.stopped:
		return ErrStopped
	}
}

// commit puts in force what has been prepared. The checks follow in turns: a verdict of one
// of before counts until its turn has come.
func (d *Director) commit(c *coming) {
	const doing = "the end of a reload"
	var was pool.Pools
	var stay pool.Set
	// A stopped loop makes no checks: the errors are no news.
	steps := func(all ...func()) {
		_ = d.turn(doing, func() error {
			for _, step := range all {
				d.carefully(doing, step) // what follows a panic still has to be done
			}
			return nil
		})
	}
	steps(
		func() {
			ha.SetPriority(&c.cfg.Global)
			d.surroundings.setDelays(delaysOf(c.cfg))
			d.vips.SetPaces(pacesOf(c.cfg))
			d.shared.Scripts.Store(script.RulesOf(&c.cfg.Global))
			d.instances.Track(ha.TrackingOf(c.cfg), d.trackers.Set(c.cfg))
		},
		func() { d.instances.Commit(c.cfg.VRRPInstances) },
		func() {
			d.checks.Loud.Store(c.cfg.Global.LogAllFailures)
		},
		func() { was, stay = d.pools, c.pools.Set() },
		func() {
			d.picture, d.slowStarters = c.picture, c.pools.SlowStarters()
			d.inForce, d.loaded, c.prepared = c.wanted, time.Now(), false
		},
		func() { d.instances.Follow(c.wanted.instances, d.drift) },
		func() { d.dropVMACs(c.cfg.VRRPInstances) },
		d.watchConflicts,
	)
	_ = d.eachPart(doing, func() pool.Pools { return c.pools }, func(part pool.Pools) error {
		d.carefully(doing, func() { d.checks.RunAll(part) })
		return nil
	})
	_ = d.eachPart(doing, func() pool.Pools { return was }, func(part pool.Pools) error {
		d.carefully(doing, func() { d.checks.StopAllBut(stay, part) })
		return nil
	})
	steps(d.forgetTroubles, d.tellQuorums, func() { d.passive.want(d.pools.Passive()) })
}

// tellQuorums tells of the quorums that the change lost or gained.
func (d *Director) tellQuorums() {
	for _, e := range d.pools.Quorums() {
		d.stream.Publish(e)
	}
	d.decided = true
	d.followQuorums()
}

// try is carefully for what may fail: a panic is an error, too.
func (d *Director) try(doing string, do func() error) (err error) {
	if caught := d.carefully(doing, func() { err = do() }); caught != nil {
		return caught
	}
	return err
}

// prepare does what can fail, and notes how it is put back.
func (d *Director) prepare(c *coming, undo *[]func() error) error {
	if err := d.refused("a reload", c); err != nil {
		return err
	}
	client, err := check.LoadClient(c.cfg)
	if err != nil {
		return err
	}
	var plan lvs.Plan
	if err := d.turn("the preparation of a reload", func() (err error) {
		if err = c.pools.Validate(); err != nil {
			return err
		}
		*undo = append(*undo, func() error { d.dropVMACs(d.cfg.VRRPInstances); return nil })
		if err = d.makeVMACsFor(c.cfg.VRRPInstances); err != nil {
			return err
		}
		if c.wanted, err = d.want(c.picture); err != nil {
			return err
		}
		hadClient := d.shared.Client.Swap(client)
		*undo = append(*undo, func() error { d.shared.Client.Store(hadClient); c.prepared = false; return nil })
		c.prepared = true
		hadSessions := check.SessionsOf(d.cfg.BFDs)
		*undo = append(*undo, func() error { return d.bfd.Set(hadSessions) })
		if err := d.bfd.Set(check.SessionsOf(c.cfg.BFDs)); err != nil {
			return err
		}
		if err := d.instances.Prepare(c.cfg.VRRPInstances, c.wanted.instances, undo); err != nil {
			return err
		}
		if err := d.serveMore(c.wanted.served, undo); err != nil {
			return err
		}
		c.handed, plan = true, d.planOf(c.picture, c.wanted)
		return nil
	}); err != nil {
		return err
	}
	d.carefully("a look for new servers", func() { d.machine.Plane.Forwarder.Find(plan) })
	if err := d.changePlane(); err != nil {
		return err
	}
	return d.turn("the preparation of a reload", func() error {
		*undo = append(*undo, d.instances.SetStatic(c.cfg.Machine, c.cfg.Global.DefaultInterface))
		return d.instances.SetVIPs(c.cfg.VRRPInstances)
	})
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
