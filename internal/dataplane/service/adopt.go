package service

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/stats"
	"weir/lvs"
)

// adopt learns from pinned tables which services and servers they hold, so that
// each keeps its number and its connections.
func (r *Registry) adopt() error {
	var key abi.BpfServiceKey
	var value abi.BpfService
	services := map[uint32]*service{}
	entries := r.maps.Services.Iterate()
	for entries.Next(&key, &value) {
		s := &service{index: value.Index, present: true, scheduler: schedulerOf(value.Scheduler)}
		if err := r.keys.Put(s.index, key); err != nil { // an earlier version has not
			return fmt.Errorf("virtual server %s: %w", key.LVS(), err)
		}
		if err := r.entries.Put(s.index, abi.BpfServiceEntry{Key: key, Service: value}); err != nil { // nor this
			return fmt.Errorf("virtual server %s: %w", key.LVS(), err)
		}
		r.services[key.LVS()] = s
		r.serviceIndexes.claim(value.Index)
		services[value.Index] = s
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("list the services: %w", err)
	}
	tallies := make([]*stats.Tally, len(r.serviceIndexes.used))
	for _, s := range r.services {
		tallies[s.index] = &s.tally
	}
	if err := r.ofServices.Adopt(tallies); err != nil {
		return fmt.Errorf("virtual servers: %w", err)
	}
	r.adopted = len(r.services) > 0
	return r.adoptServers(services)
}

// removedService takes up a service that an earlier process removed while connections
// referred to its servers, so that they are its own again when it comes back. It returns nil
// where the service's key is not known, or a service of now has it.
func (r *Registry) removedService(index uint32) *service {
	r.serviceIndexes.claim(index)
	key := r.keys.Wrote()[index]
	if key == (abi.BpfServiceKey{}) || r.services[key.LVS()] != nil {
		return nil
	}
	s := &service{index: index}
	r.services[key.LVS()] = s
	return s
}

// adoptServers takes up the servers. A server whose service was removed keeps its index
// until a sweep finds no connection of it. A process that wrote no filter of addresses did
// not note which servers were behind NAT once; so all may have been.
func (r *Registry) adoptServers(services map[uint32]*service) error {
	size := r.maps.Servers.MaxEntries()
	noFilter := r.filter.Wrote()[0] == (abi.BpfAddrFilter{})
	indexes, all := make([]uint32, size), make([]abi.BpfServer, size)
	n, err := r.maps.Servers.BatchLookup(&ebpf.MapBatchCursor{}, indexes, all, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // that is its end
		return fmt.Errorf("list the servers: %w", err)
	}
	for at, i := range indexes[:n] {
		entry := all[at]
		if entry.Addr == (abi.BpfAddr{}) {
			continue
		}
		key := serverKey{
			service: entry.Service,
			addr:    entry.AddrPort(),
		}
		s := &server{
			key: key, index: i, present: entry.Flags&abi.BpfServerFlagsSERVER_PRESENT != 0,
			method: lvs.ForwardMethod(entry.Method & abi.MethodMask), keepsPort: entry.Method&uint8(abi.BpfMethodMETHOD_KEEPS_PORT) != 0,
		}
		s.wasNAT = s.method == lvs.Masquerade || entry.Flags&abi.BpfServerFlagsSERVER_WAS_NAT != 0
		if noFilter && !s.wasNAT {
			s.wasNAT, entry.Flags = true, entry.Flags|abi.BpfServerFlagsSERVER_WAS_NAT
			if err := r.serverTable.Put(i, entry); err != nil {
				return fmt.Errorf("real server %s: %w", key.addr, err)
			}
		}
		r.servers[key] = s
		r.serverIndexes.claim(i)
		service, known := services[entry.Service]
		if !known {
			service = r.removedService(entry.Service)
			services[entry.Service] = service
		}
		switch {
		case service == nil || !service.present:
			if err := r.dropServer(s, false); err != nil {
				return err
			}
		case s.present:
			service.servers = append(service.servers, s)
		}
	}
	tallies := make([]*stats.Tally, len(r.serverIndexes.used))
	for _, s := range r.servers {
		tallies[s.index] = &s.tally
	}
	if err := r.ofServers.Adopt(tallies); err != nil {
		return fmt.Errorf("real servers: %w", err)
	}
	return nil
}

// Adopted says whether an earlier process had left services in the tables.
func (r *Registry) Adopted() bool { return r.adopted }

// Serving lists the servers that an earlier process left in a service's list;
// ok is false where it had no such service.
func (r *Registry) Serving(key lvs.ServiceKey) (servers []netip.AddrPort, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[key]
	if s == nil || !s.present {
		return nil, false
	}
	for _, server := range s.servers {
		servers = append(servers, server.key.addr)
	}
	return servers, true
}
