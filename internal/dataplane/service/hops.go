package service

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/nexthop"
	"weir/internal/netlnk"
)

// Addrs are the addresses of the servers in service.
func (r *Registry) Addrs() (addrs []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	met := map[netip.Addr]bool{}
	for key, s := range r.servers {
		if addr := key.addr.Addr(); s.present && !met[addr] {
			met[addr] = true
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// Exits are the indexes of the devices that lead to the servers in service, in order.
func (r *Registry) Exits() (devices []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	met := map[int]bool{}
	for _, s := range r.servers {
		if index := s.hop.Index; s.present && !s.hop.Local && index != 0 && !met[index] {
			met[index] = true
			devices = append(devices, index)
		}
	}
	slices.Sort(devices)
	return devices
}

// SetHops writes the next hops that were found, of the servers that are in service
// now: what was found of one that has left meanwhile is dropped, and one that has come
// is as Set entered it.
func (r *Registry) SetHops(find Finder) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.local.devices)
	for key, s := range r.servers {
		found, ok := find.Known(key.addr.Addr())
		if !s.present || !ok {
			continue
		}
		hop := nexthop.Freshest(s.hop, found)
		if nexthop.Same(hop, s.hop) {
			continue
		}
		s.hop = hop
		if e := r.putServer(key, s); e != nil {
			err = errors.Join(err, fmt.Errorf("write the next hop of real server %s: %w", key.addr, e))
		}
	}
	return err
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
		if err := r.putServer(key, s); err != nil {
			return fmt.Errorf("write the path MTU of real server %s: %w", key.addr, err)
		}
	}
	return nil
}

// TunnelMTU is the MTU, in bytes, of the path that packets of a connection take in a
// tunnel between these addresses; ok is false where they take no such tunnel.
func (r *Registry) TunnelMTU(key abi.BpfFlowKey, from, to netip.Addr) (mtu int, ok bool) {
	var c abi.BpfConn
	var entry abi.BpfServer
	if r.maps.Conns.Lookup(key, &c) != nil {
		return 0, false
	}
	state, method, index := c.Read()
	if state == abi.BpfConnStateSTATE_GONE || state == abi.BpfConnStateSTATE_REPLY || method != abi.BpfMethodMETHOD_TUN {
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
