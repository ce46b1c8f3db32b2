package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// adopt learns from pinned tables which services and servers they hold, so that
// each keeps its number and its connections.
func (p *Plane) adopt() error {
	var key abi.BpfServiceKey
	var value abi.BpfService
	services := map[uint32]*service{}
	entries := p.maps.Services.Iterate()
	for entries.Next(&key, &value) {
		s := &service{index: value.Index, present: true, scheduler: schedulerOf(value.Scheduler)}
		if err := p.ofServices().adopt(s.index, &s.tally); err != nil {
			return fmt.Errorf("virtual server %s: %w", key.LVS(), err)
		}
		p.services[key.LVS()] = s
		p.indexes.services.claim(value.Index)
		services[value.Index] = s
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("list the services: %w", err)
	}
	p.adopted = len(p.services) > 0
	if err := p.adoptDirectors(); err != nil {
		return err
	}
	return p.adoptServers(services)
}

func (p *Plane) adoptDirectors() error {
	var mac uint64
	var one uint8
	entries := p.maps.Directors.Iterate()
	for entries.Next(&mac, &one) {
		p.directors[mac] = true
	}
	return entries.Err()
}

// adoptServers takes up the servers. One whose service is gone keeps its place
// until a sweep has met no connection of it.
func (p *Plane) adoptServers(services map[uint32]*service) error {
	size := p.maps.Servers.MaxEntries()
	indexes, all := make([]uint32, size), make([]abi.BpfServer, size)
	n, err := p.maps.Servers.BatchLookup(&ebpf.MapBatchCursor{}, indexes, all, nil)
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
			method: lvs.ForwardMethod(entry.Method & 3), keepsPort: entry.Method&uint8(abi.BpfMethodMETHOD_KEEPS_PORT) != 0,
		}
		if err := p.ofServers().adopt(i, &s.tally); err != nil {
			return fmt.Errorf("real server %s: %w", key.addr, err)
		}
		p.servers[key] = s
		p.indexes.servers.claim(i)
		service := services[entry.Service]
		switch {
		case service == nil:
			p.indexes.services.claim(entry.Service)
			if err := p.dropServer(s, false); err != nil {
				return err
			}
		case s.present:
			service.servers = append(service.servers, s)
		}
	}
	return nil
}

// Adopted says whether an earlier process had left services in the tables.
func (p *Plane) Adopted() bool { return p.adopted }

// Serving lists the servers that an earlier process left in a service's list;
// ok is false where it had no such service.
func (p *Plane) Serving(key lvs.ServiceKey) (servers []netip.AddrPort, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[key]
	if s == nil || !s.present {
		return nil, false
	}
	for _, server := range s.servers {
		servers = append(servers, server.key.addr)
	}
	return servers, true
}

// Directors are those whose frames are not forwarded again at the moment.
func (p *Plane) Directors() (macs []net.HardwareAddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for word := range p.directors {
		macs = append(macs, abi.WordMAC(word))
	}
	return macs
}
