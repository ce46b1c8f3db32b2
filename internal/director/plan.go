package director

import (
	"maps"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
	"weir/lvs"
)

// plan is what the data plane is to do as the picture stands.
func (d *Director) plan() lvs.Plan {
	plan := lvs.Plan{Devices: d.devices(), Marks: d.cfg.Weir.Marks, Timeouts: d.cfg.Weir.Timeouts.Timeouts}
	for _, p := range d.pools {
		plan.Services = append(plan.Services, p.services()...)
	}
	for _, in := range d.instances {
		plan.Instances = append(plan.Instances, lvs.Instance{ID: in.id, VIPs: in.addrs()})
	}
	plan.Directors = slices.AppendSeq(slices.Clone(d.adopted), maps.Values(d.directors))
	return plan
}

// devices are where clients' packets may come from, and the answers of servers
// behind NAT: the interfaces of the VRRP instances and their VIPs, those in whose
// network a VIP without an instance or such a server is, and those of the weir
// block, which says by which hook.
func (d *Director) devices() []lvs.Device {
	var devices []lvs.Device
	for _, c := range d.cfg.Weir.Devices {
		devices = append(devices, lvs.Device{Name: c.Name, Hook: c.Hook})
	}
	add := func(name string) {
		if !slices.ContainsFunc(devices, func(d lvs.Device) bool { return d.Name == name }) {
			devices = append(devices, lvs.Device{Name: name, Hook: lvs.HookAuto})
		}
	}
	for _, in := range d.instances {
		add(in.id.Interface)
		for _, vip := range in.vips {
			add(vip.Device)
		}
	}
	for _, p := range d.pools {
		for _, key := range p.keys {
			if key.Mark == 0 && d.instanceOf(key.Addr) == nil {
				for _, name := range networksOf(key.Addr) {
					add(name)
				}
			}
		}
		for _, m := range p.members {
			if m.server.Method == lvs.Masquerade {
				for _, name := range waysTo(m.server.Addr) {
					add(name)
				}
			}
		}
	}
	return devices
}

// waysTo names the device by which a server is reached; its answers come there.
func waysTo(a netip.Addr) []string {
	hop, err := netlnk.Resolve(a)
	if err != nil || hop.Local {
		return nil
	}
	links, err := netlnk.Links()
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(links, func(l netlnk.Link) bool { return l.Index == hop.Index })
	if i < 0 {
		return nil
	}
	return []string{links[i].Name}
}

func (d *Director) instanceOf(vip netip.Addr) *instance {
	for _, in := range d.instances {
		if slices.Contains(in.addrs(), vip) {
			return in
		}
	}
	return nil
}

// networksOf names the devices with an address in whose network this one is.
func networksOf(a netip.Addr) (names []string) {
	links, err := netlnk.Links()
	if err != nil {
		return nil
	}
	for _, l := range links {
		prefixes, err := netlnk.Addresses(l.Name)
		inside := func(p netip.Prefix) bool { return p.Masked().Contains(a) }
		if err == nil && l.Name != "lo" && slices.ContainsFunc(prefixes, inside) {
			names = append(names, l.Name)
		}
	}
	return names
}
