package director

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/director/ha"
	"weir/lvs"
)

// wanted is what a configuration asks for on this machine as it is. A start, a reload and
// each change of the surroundings work it out in the same way, so that they lead to the
// same state.
type wanted struct {
	// instances are what the VRRP instances speak by, in the configuration's order.
	instances []ha.Binding
	// devices are those of the data plane, which exist.
	devices []lvs.Device
	served  served
}

// served is for what this machine is a real server: VIPs by direct routing and by a tunnel,
// and the devices that have VIPs while it is master.
type served struct {
	direct, tunnelled []netip.Addr
	devices           []string
}

func (s served) same(o served) bool {
	return slices.Equal(s.direct, o.direct) && slices.Equal(s.tunnelled, o.tunnelled) && slices.Equal(s.devices, o.devices)
}

// wanted works out what the picture wants in these surroundings, which have been looked at.
func (p picture) wanted(around *surroundings) wanted {
	defer around.close()
	instances := ha.Bindings(p.cfg.VRRPInstances, around.picture)
	ha.BindUnmade(p.cfg.VRRPInstances, instances, around.unmade.byName)
	ha.BindTracked(ha.TrackingOf(p.cfg), p.cfg.VRRPInstances, instances, around.picture)
	if p.cfg.Global.DynamicInterfaces != "" {
		for i := range instances {
			instances[i].Missing = nil // it waits in fault for what comes later
		}
	}
	return wanted{
		instances: instances,
		devices:   p.devices(around),
		served: served{
			direct: p.servedHere(around, lvs.DirectRoute), tunnelled: p.servedHere(around, lvs.Tunnel), devices: p.vipDevices(),
		},
	}
}

// want looks at the machine and works out what a picture wants of it.
func (d *Director) want(p picture) (wanted, error) {
	if err := d.surroundings.look(); err != nil {
		return wanted{}, fmt.Errorf("look at this machine's devices: %w", err)
	}
	return p.wanted(&d.surroundings), nil
}

// devices are where clients' packets may come from, and the answers of servers
// behind NAT: the interfaces of the VRRP instances and their VIPs, those in whose
// network a VIP without an instance or such a server is, and those of the weir
// block, which says by which hook. Devices that do not exist are left out.
func (p picture) devices(around *surroundings) []lvs.Device {
	var devices []lvs.Device
	add := func(name string, hook lvs.Hook) {
		_, err := around.picture.Link(name)
		if err == nil && !slices.ContainsFunc(devices, func(d lvs.Device) bool { return d.Name == name }) {
			devices = append(devices, lvs.Device{Name: name, Hook: hook})
		}
	}
	over := map[string]string{} // what comes on an instance's own device comes by its base first
	for _, d := range ha.OwnDevices(p.cfg.VRRPInstances) {
		over[d.Name] = d.Base
	}
	auto := func(name string) { add(cmp.Or(over[name], name), lvs.HookAuto) }
	for _, c := range p.cfg.Weir.Devices {
		add(c.Name, c.Hook)
	}
	ofInstance := map[netip.Addr]bool{}
	for _, c := range p.cfg.VRRPInstances {
		auto(c.Interface)
		for _, vip := range c.Addresses() {
			auto(vip.Device)
			ofInstance[vip.Prefix.Addr()] = true
		}
	}
	for _, pool := range p.pools {
		pool.Addresses(func(a netip.Addr) {
			if !ofInstance[a] {
				around.eachNetworkOf(a, auto)
			}
		})
		for _, name := range pool.Exits(around.looks, around.deviceTo) {
			auto(name)
		}
	}
	return devices
}

// missing says which devices of the weir block do not exist, but for those that the picture
// before names, too. A start refuses them.
func (p picture) missing(before *picture, around *surroundings) error {
	var errs []error
	for _, c := range p.cfg.Weir.Devices {
		named := func(o conf.Device) bool { return o.Name == c.Name }
		if _, err := around.picture.Link(c.Name); err != nil && (before == nil || !slices.ContainsFunc(before.cfg.Weir.Devices, named)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// servedHere lists the VIPs for which this machine is a real server by a method.
func (p picture) servedHere(around *surroundings, method lvs.ForwardMethod) (vips []netip.Addr) {
	for _, pool := range p.pools {
		here := false
		if !pool.Uses(method) {
			continue
		}
		pool.Servers(func(rs lvs.RealServer) {
			here = here || rs.Method == method && around.picture.Local(rs.Addr)
		})
		if here {
			pool.Addresses(func(a netip.Addr) {
				if !slices.Contains(vips, a) {
					vips = append(vips, a)
				}
			})
		}
	}
	return vips
}

// vipDevices are where this machine has VIPs while it is master: there, a real server
// may have them too.
func (p picture) vipDevices() (names []string) {
	for _, c := range p.cfg.VRRPInstances {
		for _, vip := range c.Addresses() {
			if !slices.Contains(names, vip.Device) {
				names = append(names, vip.Device)
			}
		}
	}
	return names
}
