package director

import (
	"net/netip"
	"slices"

	"weir/internal/director/ha"
	"weir/lvs"
)

// plan is what the data plane is to do as the picture stands.
func (d *Director) plan() lvs.Plan { return d.planOf(d.picture) }

func (d *Director) planOf(p picture) lvs.Plan {
	plan := lvs.Plan{
		Devices: p.devices(&d.surroundings), Instances: ha.Plan(p.cfg.VRRPInstances),
		Marks: p.cfg.Weir.Marks, Deny: p.cfg.Weir.Deny, Allow: p.cfg.Weir.Allow, Timeouts: p.cfg.Weir.Timeouts.Timeouts,
	}
	for _, pool := range p.pools {
		plan.Services = append(plan.Services, pool.Services()...)
	}
	plan.Directors = append(slices.Clone(d.adopted), d.instances.Directors()...)
	return plan
}

// devices are where clients' packets may come from, and the answers of servers
// behind NAT: the interfaces of the VRRP instances and their VIPs, those in whose
// network a VIP without an instance or such a server is, and those of the weir
// block, which says by which hook.
func (p picture) devices(around *surroundings) []lvs.Device {
	var devices []lvs.Device
	for _, c := range p.cfg.Weir.Devices {
		devices = append(devices, lvs.Device{Name: c.Name, Hook: c.Hook})
	}
	add := func(name string) {
		if !slices.ContainsFunc(devices, func(d lvs.Device) bool { return d.Name == name }) {
			devices = append(devices, lvs.Device{Name: name, Hook: lvs.HookAuto})
		}
	}
	ofInstance := map[netip.Addr]bool{}
	for _, c := range p.cfg.VRRPInstances {
		add(c.Interface)
		for _, vip := range c.Addresses() {
			add(vip.Device)
			ofInstance[vip.Prefix.Addr()] = true
		}
	}
	defer around.close()
	for _, pool := range p.pools {
		pool.Addresses(func(a netip.Addr) {
			if !ofInstance[a] {
				around.eachNetworkOf(a, add)
			}
		})
		pool.Servers(func(rs lvs.RealServer) {
			if rs.Method != lvs.Masquerade {
				return
			}
			if name := around.deviceTo(rs.Addr); name != "" {
				add(name)
			}
		})
	}
	return devices
}
