package director

import (
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// surroundings are what the kernel says of this machine's devices and routes. They
// are asked for once, until it reports a change.
type surroundings struct {
	routes   Routes
	holders  []netlnk.Holder
	links    map[int]string
	hops     map[netip.Addr]string // the device by which an address is reached
	resolver Resolver              // nil while closed
}

// heard forgets what a report of the kernel makes doubtful. Neighbours, of which
// most reports are, do not count here.
func (s *surroundings) heard(kind netlnk.Kind) {
	if kind != netlnk.NeighbourChanged {
		*s = surroundings{routes: s.routes}
	}
}

// look asks for the devices and their addresses.
func (s *surroundings) look() {
	if s.hops != nil {
		return
	}
	s.hops, s.links = map[netip.Addr]string{}, map[int]string{}
	links, err := s.routes.Links()
	if err != nil {
		return
	}
	for _, l := range links {
		s.links[l.Index] = l.Name
	}
	if holders, err := s.routes.AllHolders(); err == nil {
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

// deviceTo names the device by which a server is reached; its answers come there.
func (s *surroundings) deviceTo(a netip.Addr) string {
	s.look()
	name, known := s.hops[a]
	if known {
		return name
	}
	if s.resolver == nil {
		resolver, err := s.routes.Resolver()
		if err != nil {
			return ""
		}
		s.resolver = resolver
	}
	if hop, err := s.resolver.Resolve(a); err == nil && !hop.Local {
		name = s.links[hop.Index]
	}
	s.hops[a] = name
	return name
}

// close ends the asking for next hops.
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
