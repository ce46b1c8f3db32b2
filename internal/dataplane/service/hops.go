package service

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/nexthop"
	"weir/internal/netlnk"
)

// paths are the next hops of the servers in service, all together.
type paths struct {
	servers    map[netip.Addr][]*server // by their addresses
	exits      []int                    // the devices, in order
	neighbours map[neighbour]netlnk.NextHop
	unreached  bool // there is a server without a route
}

// neighbour is one that packets are sent to.
type neighbour struct {
	device int
	addr   netip.Addr
}

// allPaths goes through the servers where one has changed since. The caller holds the lock,
// and changes nothing of what it gets.
func (r *Registry) allPaths() *paths {
	if r.paths != nil {
		return r.paths
	}
	all := &paths{servers: map[netip.Addr][]*server{}, neighbours: map[neighbour]netlnk.NextHop{}}
	exits := map[int]bool{}
	for key, s := range r.servers {
		if !s.present {
			continue
		}
		addr, hop := key.addr.Addr(), s.hop
		all.servers[addr] = append(all.servers[addr], s)
		if hop.Local || hop.Index == 0 {
			all.unreached = all.unreached || !hop.Local
			continue
		}
		exits[hop.Index] = true
		if hop.Gateway.IsValid() {
			addr = hop.Gateway
		}
		at := neighbour{hop.Index, addr}
		if other, known := all.neighbours[at]; !known || other.Unreachable { // of one that has just come it may not be known yet
			all.neighbours[at] = hop
		}
	}
	all.exits = slices.Sorted(maps.Keys(exits))
	r.paths = all
	return all
}

// Addrs are the addresses of the servers in service.
func (r *Registry) Addrs() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.allPaths().servers))
}

// Exits are the indexes of the devices that lead to the servers in service, in order.
func (r *Registry) Exits() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths != nil {
		return r.paths.exits
	}
	exits := map[int]bool{} // Set asks for nothing else, and the rest of the paths takes long
	for _, s := range r.servers {
		if s.present && !s.hop.Local && s.hop.Index != 0 {
			exits[s.hop.Index] = true
		}
	}
	return slices.Sorted(maps.Keys(exits))
}

// Concerns says whether a report about a neighbour of a device changes how a server in
// service is reached. What is known of a neighbour stays when the kernel forgets it, until it
// does not answer.
func (r *Registry) Concerns(device int, n netlnk.NeighbourReport) bool {
	if !n.Addr.IsValid() {
		return true // it was not told
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	hop, ours := r.allPaths().neighbours[neighbour{device, n.Addr}]
	if n.Failed {
		return ours && !hop.Unreachable
	}
	return ours && n.Usable && (!hop.Valid || string(hop.Dst) != string(n.MAC[:]))
}

// Neighbours are those that packets to the servers in service are sent to. Missing says that a
// server has no next hop, or its neighbour is not known.
func (r *Registry) Neighbours() (all []netlnk.KnownNeighbour, missing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := r.allPaths()
	for n, hop := range paths.neighbours {
		all = append(all, netlnk.KnownNeighbour{Device: n.device, Addr: n.addr, MAC: hop.Dst})
		missing = missing || !hop.Valid
	}
	return all, missing || paths.unreached
}

// pathsChanged notes that a server came, left, or is reached otherwise.
func (r *Registry) pathsChanged() {
	r.paths = nil
	r.changes++
}

// Changes counts how often a server came, left, or was reached otherwise.
func (r *Registry) Changes() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// SetHops writes the next hops that were found, of the servers that are in service
// now: what was found of one that has left meanwhile is dropped, and one that has come
// is as Set entered it.
func (r *Registry) SetHops(find Finder) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.local.devices)
	r.serverTable.Gather()
	for addr, servers := range r.allPaths().servers {
		found, ok := find.Known(addr)
		if !ok {
			continue
		}
		for _, s := range servers {
			hop := nexthop.Freshest(s.hop, found)
			if nexthop.Same(hop, s.hop) {
				continue
			}
			s.hop = hop
			r.pathsChanged()
			if e := r.putServer(s.key, s); e != nil {
				err = errors.Join(err, fmt.Errorf("write the next hop of real server %s: %w", s.key.addr, e))
			}
		}
	}
	return errors.Join(err, r.serverTable.Flush())
}

// Hops are the next hops that are in force, by the servers' addresses.
func (r *Registry) Hops() map[netip.Addr]netlnk.NextHop {
	r.mu.Lock()
	defer r.mu.Unlock()
	hops := map[netip.Addr]netlnk.NextHop{}
	for key, s := range r.servers {
		if s.present {
			hops[key.addr.Addr()] = s.hop
		}
	}
	return hops
}

// LimitMTU has packets to the servers at an address be no longer than this many bytes.
func (r *Registry) LimitMTU(to netip.Addr, mtu int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.servers {
		if key.addr.Addr() != to || !s.present || s.hop.MTU <= mtu {
			continue
		}
		s.hop.MTU = mtu
		r.pathsChanged()
		if err := r.putServer(key, s); err != nil {
			return fmt.Errorf("write the path MTU of real server %s: %w", key.addr, err)
		}
	}
	return nil
}

// TunnelMTU is the MTU, in bytes, of the path that packets of a connection take in a
// tunnel between these addresses; ok is false where they take no such tunnel.
func (r *Registry) TunnelMTU(key abi.BpfFlowKey, from, to netip.Addr) (mtu int, ok bool) {
	var entry abi.BpfServer
	c, err := r.find(key)
	if err != nil {
		return 0, false
	}
	_, method, index := c.Read()
	if method != abi.BpfMethodMETHOD_TUN {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.maps.Servers.Lookup(index, &entry) != nil {
		return 0, false
	}
	s := r.servers[serverKey{entry.Service, entry.AddrPort()}]
	if s == nil || s.index != index || !s.present || entry.Addr.Netip() != to || s.hop.Source != from {
		return 0, false
	}
	return s.hop.MTU, true
}
