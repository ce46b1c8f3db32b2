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
	"weir/lvs"
)

// Plan tells what Reload would change. The error is what would keep it from that.
func (d *Director) Plan(cfg *conf.Config) (changes Changes, err error) {
	asked := d.ask(context.Background(), func() {
		var next picture
		next, changes = d.next(cfg)
		d.describe(&changes, cfg)
		err = d.machine.Plane.Forwarder.Check(d.planOf(next))
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
	var undo []func() error
	if err := d.prepare(next, &undo); err != nil {
		for _, back := range slices.Backward(undo) {
			if e := back(); e != nil {
				d.stream.Publish(cluster.PutBackFailed(e))
			}
		}
		return err
	}
	d.instances.Commit(next.cfg.VRRPInstances)
	d.conflicts.watch(d.instances.Claimed())
	d.checks.Set(d.pools, next.pools)
	d.picture, d.loaded = next, time.Now()
	d.forgetTroubles()
	return nil
}

// prepare does what can fail, and notes how it is put back.
func (d *Director) prepare(next picture, undo *[]func() error) error {
	plan, forwarder := d.planOf(next), d.machine.Plane.Forwarder
	if err := forwarder.Check(plan); err != nil {
		return err
	}
	if err := next.pools.Validate(); err != nil {
		return err
	}
	if err := d.instances.Prepare(next.cfg.VRRPInstances, undo); err != nil {
		return err
	}
	if err := d.serveMore(next, undo); err != nil {
		return err
	}
	before := d.plan()
	*undo = append(*undo, func() error { return forwarder.Set(before) })
	if err := forwarder.Set(plan); err != nil {
		return err
	}
	return d.instances.SetVIPs(next.cfg.VRRPInstances)
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
			err = d.machine.Real.Stop(more)
		}
		return errors.Join(err, d.serveHere(d.picture))
	})
	return d.serveHere(next)
}
