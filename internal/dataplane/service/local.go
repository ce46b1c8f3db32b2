package service

import (
	"fmt"
	"net/netip"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

// localAddrs is what is known of this machine's own addresses.
type localAddrs struct {
	numbers map[netip.Addr]uint8 // of those in the table
	virtual map[netip.Addr]bool  // that services have
	// devices' addresses, which are read once for each Set.
	devices map[int][]netip.Prefix
}

// takeUpLocal begins with the addresses that an earlier process left.
func (r *Registry) takeUpLocal() {
	r.local = localAddrs{numbers: map[netip.Addr]uint8{}, devices: map[int][]netip.Prefix{}}
	for i, a := range r.localTable.Wrote() {
		r.local.numbers[a.Netip()] = uint8(i)
	}
}

// virtualAddrs are the addresses that other machines may have, too.
func virtualAddrs(state lvs.Plan) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, vs := range state.Services {
		all[vs.Addr] = true
	}
	for _, in := range state.Instances {
		for _, vip := range in.VIPs {
			all[vip] = true
		}
	}
	return all
}

// setLocal enters the local addresses on the path to a server. They are the source of outer
// headers, and of what local clients send to the server.
func (r *Registry) setLocal(entry *abi.BpfServer, s *server) (err error) {
	if !s.hop.Source.IsValid() || s.hop.Local {
		return nil
	}
	server := s.key.addr.Addr()
	if entry.Source, err = r.localAddr(r.sourceOf(s.hop, server, s.hop.Source)); err != nil {
		return err
	}
	entry.InnerSource = entry.Source
	if s.ip4 != server.Is4() {
		entry.InnerSource, err = r.localAddr(r.sourceOf(s.hop, server, netip.Addr{}))
	}
	return err
}

// localAddr is the number of one of our addresses, 0 of none.
func (r *Registry) localAddr(a netip.Addr) (uint8, error) {
	if i, known := r.local.numbers[a]; known || !a.IsValid() {
		return i, nil
	}
	i, err := r.localPlace()
	if err != nil {
		return 0, err
	}
	r.local.numbers[a] = i
	return i, r.localTable.Put(uint32(i), abi.AddrOf(a))
}

// sourceOf is the address that the kernel would use as source towards a server, or another
// one of the device where that is a virtual address: the kernel prefers IPv6 addresses with
// a /128. Where the kernel's is invalid, it is an address of the other family than the
// server's.
func (r *Registry) sourceOf(hop netlnk.NextHop, server, kernels netip.Addr) netip.Addr {
	if kernels.IsValid() && !r.local.virtual[kernels] {
		return kernels
	}
	all, known := r.local.devices[hop.Index]
	if !known {
		all, _ = netlnk.AddressesOf(hop.Index) // without them it is as the kernel says
		r.local.devices[hop.Index] = all
	}
	near := server
	if hop.Gateway.IsValid() {
		near = hop.Gateway
	}
	ip4, best := server.Is4() == kernels.IsValid(), kernels
	for _, own := range all {
		a := own.Addr()
		switch {
		case a.Is4() != ip4 || a.IsLinkLocalUnicast() || r.local.virtual[a]:
		case own.Contains(near):
			return a
		case best == kernels:
			best = a
		}
	}
	return best
}

// localPlace is a free index of local_addrs, or that of an address that no server needs.
func (r *Registry) localPlace() (uint8, error) {
	if n := uint32(len(r.local.numbers)) + 1; n < r.maps.LocalAddrs.MaxEntries() {
		return uint8(n), nil
	}
	used := map[uint8]bool{}
	for _, entry := range r.serverTable.Wrote() {
		used[entry.Source], used[entry.InnerSource] = true, true
	}
	for a, i := range r.local.numbers {
		if !used[i] {
			delete(r.local.numbers, a)
			return i, nil
		}
	}
	return 0, fmt.Errorf("all %d places for our own addresses are taken", r.maps.LocalAddrs.MaxEntries()-1)
}
