package director

import (
	"maps"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
	"weir/lvs"
)

// plan is what the data plane is to do as the picture stands.
func (d *Director) plan() lvs.Plan { return d.planOf(d.picture) }

func (d *Director) planOf(p picture) lvs.Plan {
	plan := lvs.Plan{
		Devices: p.devices(&d.surroundings), Instances: p.instances(),
		Marks: p.cfg.Weir.Marks, Timeouts: p.cfg.Weir.Timeouts.Timeouts,
	}
	for _, pool := range p.pools {
		plan.Services = append(plan.Services, pool.services()...)
	}
	plan.Directors = slices.AppendSeq(slices.Clone(d.adopted), maps.Values(d.directors))
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
		for _, key := range pool.keys {
			if key.Mark == 0 && !ofInstance[key.Addr] {
				around.eachNetworkOf(key.Addr, add)
			}
		}
		for _, m := range pool.members {
			if m.server.Method == lvs.Masquerade {
				if name := around.wayTo(m.server.Addr); name != "" {
					add(name)
				}
			}
		}
	}
	return devices
}

// surroundings are what the kernel says of this machine's devices and ways. They
// are asked for once, until it reports a change.
type surroundings struct {
	holders  []netlnk.Holder
	links    map[int]string
	ways     map[netip.Addr]string
	resolver *netlnk.Resolver // nil while closed
}

// heard forgets what a report of the kernel makes doubtful. Neighbours, of which
// most reports are, do not count here.
func (s *surroundings) heard(kind netlnk.Kind) {
	if kind != netlnk.NeighbourChanged {
		*s = surroundings{}
	}
}

// look asks for the devices and their addresses.
func (s *surroundings) look() {
	if s.ways != nil {
		return
	}
	s.ways, s.links = map[netip.Addr]string{}, map[int]string{}
	links, err := netlnk.Links()
	if err != nil {
		return
	}
	for _, l := range links {
		s.links[l.Index] = l.Name
	}
	if holders, err := netlnk.AllHolders(); err == nil {
		s.holders = holders
	}
}

// eachNetworkOf names the devices with an address in whose network this one is.
func (s *surroundings) eachNetworkOf(a netip.Addr, do func(name string)) {
	s.look()
	for _, h := range s.holders {
		if h.Dev != "lo" && h.Prefix.Contains(a) {
			do(h.Dev)
		}
	}
}

// wayTo names the device by which a server is reached; its answers come there.
func (s *surroundings) wayTo(a netip.Addr) string {
	s.look()
	name, known := s.ways[a]
	if known {
		return name
	}
	if s.resolver == nil {
		resolver, err := netlnk.NewResolver()
		if err != nil {
			return ""
		}
		s.resolver = resolver
	}
	if hop, err := s.resolver.Resolve(a); err == nil && !hop.Local {
		name = s.links[hop.Index]
	}
	s.ways[a] = name
	return name
}

// close ends the asking for ways.
func (s *surroundings) close() {
	if s.resolver != nil {
		s.resolver.Close()
		s.resolver = nil
	}
}

// local says whether an address is this machine's own.
func (s *surroundings) local(a netip.Addr) bool {
	s.look()
	return slices.ContainsFunc(s.holders, func(h netlnk.Holder) bool {
		return h.Prefix.Addr() == a.WithZone("") && (a.Zone() == "" || a.Zone() == h.Dev)
	})
}
