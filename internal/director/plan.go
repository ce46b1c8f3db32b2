package director

import (
	"slices"

	"weir/internal/director/ha"
	"weir/lvs"
)

// plan is what the data plane is to do as the picture, or the one that a reload is about to
// make of it, and the surroundings stand.
func (d *Director) plan() lvs.Plan {
	if d.coming != nil && d.coming.handed {
		return d.planOf(d.coming.picture, d.coming.wanted)
	}
	return d.planOf(d.picture, d.inForce)
}

func (d *Director) planOf(p picture, w wanted) lvs.Plan {
	plan := lvs.Plan{
		Devices: w.devices, Instances: ha.Plan(p.cfg.VRRPInstances),
		Marks: p.cfg.Weir.Marks, Deny: p.cfg.Weir.Deny, Allow: p.cfg.Weir.Allow, Timeouts: p.cfg.Weir.Timeouts.Timeouts,
	}
	plan.Services = make([]lvs.VirtualServer, 0, len(p.pools))
	for _, pool := range p.pools {
		plan.Services = append(plan.Services, pool.Services()...)
	}
	plan.Everywhere, plan.Excluded = len(p.pools) > 0, p.excluded()
	plan.Directors = append(d.instances.Directors(), d.adopted...)
	return plan
}

// excluded are the devices that the data plane is not to be on: those that the configuration
// says, and the devices that instances have over interfaces, whose packets it sees there.
func (p picture) excluded() []string {
	names := slices.Clone(p.cfg.Weir.Excluded)
	for _, v := range ha.OwnDevices(p.cfg.VRRPInstances) {
		names = append(names, v.Name)
	}
	return names
}
