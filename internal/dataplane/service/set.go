package service

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/dataplane/nexthop"
	"weir/internal/netlnk"
	"weir/internal/sched"
	"weir/lvs"
)

// Finder finds the next hops to servers. Await may take a while; it is called without
// the Registry's lock, and Known with it.
type Finder interface {
	Await(wanted []nexthop.Want)
	Known(addr netip.Addr) (hop netlnk.NextHop, ok bool)
}

// Set makes the tables have these services and no other, each served by the lease of
// its address. The order of writes is such that no packet finds a half-built service:
// servers before the tables that name them, tables before their service; removal goes the
// other way round. A service that is as the last state had it is not written again. What
// cannot be done is returned as one error; the rest is done. Callers take turns.
func (r *Registry) Set(state lvs.Plan, lease map[netip.Addr]uint32, find Finder) error {
	changed, wanted := r.changed(state, lease)
	find.Await(wanted)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.widenFilter(changed); err != nil {
		return err
	}
	r.local.virtual = virtualAddrs(state)
	clear(r.local.devices)
	errs := []error{r.setDirectors(state.Directors)}
	var changes []*change
	r.serverTable.Gather()
	for _, vs := range changed {
		c, err := r.prepare(vs, leaseOf(vs.ServiceKey, lease), find)
		if err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", vs.ServiceKey, err))
			continue
		}
		changes = append(changes, c)
	}
	if err := r.putServers(); err != nil {
		errs = append(errs, err)
		forgetAll(changes)
		changes = nil
	}
	errs = append(errs, r.putTables(changes))
	for _, c := range changes {
		if err := r.enter(c); err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", c.vs.ServiceKey, err))
		}
	}
	keep := map[lvs.ServiceKey]bool{}
	for _, vs := range state.Services {
		keep[vs.ServiceKey] = true
	}
	errs = append(errs, r.setSlots(func(key lvs.ServiceKey) bool { return keep[key] }), r.dropServices(keep), r.counts.Put(0, countServices(keep)), r.setFilter())
	return errors.Join(errs...)
}

// putServers writes what prepare has gathered of servers.
func (r *Registry) putServers() error {
	begun := r.begun
	r.begun = nil
	if err := errors.Join(r.serverTable.Flush(), r.ofServers.Start(begun)); err != nil {
		return fmt.Errorf("enter the real servers: %w", err)
	}
	return nil
}

// forgetAll has the next Set enter all of these changes anew, which are not put in force.
func forgetAll(changes []*change) {
	for _, c := range changes {
		if c.table != nil {
			c.table.Close()
		}
		for _, server := range c.servers {
			server.written = nil
		}
	}
}

// Find has the next hops to the servers that a state adds looked for, before it is set.
func (r *Registry) Find(state lvs.Plan, find Finder) {
	_, wanted := r.changed(state, nil) // servers that are there are not wanted, whatever their lease
	find.Await(wanted)
}

// changed are the services that are not as they are wanted, and those of their servers
// whose next hop is not kept fresh yet.
func (r *Registry) changed(state lvs.Plan, lease map[netip.Addr]uint32) (changed []lvs.VirtualServer, wanted []nexthop.Want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, vs := range state.Services {
		s := r.services[vs.ServiceKey]
		if s != nil && s.holds(vs, leaseOf(vs.ServiceKey, lease)) {
			continue
		}
		changed = append(changed, vs)
		for _, rs := range vs.RealServers {
			want := nexthop.Want{Addr: rs.Addr}
			if s != nil {
				if server := r.servers[serverKey{s.index, rs.AddrPort()}]; server != nil {
					if server.present && server.written != nil {
						continue
					}
					old := server.hop // a copy: it is read without the lock
					want.Old = &old
				}
			}
			wanted = append(wanted, want)
		}
	}
	return changed, wanted
}

// change is a service that is being entered into the tables.
type change struct {
	*service
	vs      lvs.VirtualServer
	lease   uint32
	servers []*server
	layout  *sched.Layout
	table   *ebpf.Map // nil where the one in force stays
}

// holds says whether the tables have a service as it is wanted.
func (s *service) holds(vs lvs.VirtualServer, lease uint32) bool {
	return s.present && s.written != nil && s.lease == lease && sameHead(*s.written, vs) && slices.Equal(s.written.RealServers, vs.RealServers)
}

// sameHead says whether two services are the same but for their real servers.
func sameHead(a, b lvs.VirtualServer) bool {
	return a.ServiceKey == b.ServiceKey && a.Scheduler == b.Scheduler && a.SHPort == b.SHPort && a.SHFallback == b.SHFallback &&
		a.Persistence == b.Persistence && a.OnePacket == b.OnePacket && a.Rules == b.Rules
}

// leaseOf is the lease by which a service is served: that of its address. Checks need none.
func leaseOf(key lvs.ServiceKey, lease map[netip.Addr]uint32) uint32 {
	if key.IsCheck() {
		return 0
	}
	return lease[key.Addr]
}

// countServices notes which families have a service, and counts those that take a look-up
// of their own.
func countServices(wanted map[lvs.ServiceKey]bool) (n abi.BpfServiceCount) {
	for key := range wanted {
		if key.Addr.Is4() {
			n.Families |= uint32(abi.BpfServiceFamilySERVICE_IP4)
		} else {
			n.Families |= uint32(abi.BpfServiceFamilySERVICE_IP6)
		}
		switch {
		case key.ByMark():
			n.ByMark++
		case key.Port == 0:
			n.AnyPort++
		}
	}
	return n
}

// prepare enters what a service is to have, and lays out its table.
func (r *Registry) prepare(vs lvs.VirtualServer, lease uint32, find Finder) (*change, error) {
	if err := checkService(vs); err != nil {
		return nil, err
	}
	s, err := r.service(vs.ServiceKey)
	if err != nil {
		return nil, err
	}
	s.written = nil // until it is entered
	c := &change{service: s, vs: vs, lease: lease}
	known := map[*server]bool{}
	for _, server := range s.servers {
		known[server] = true
	}
	var list []sched.Server
	for _, rs := range vs.RealServers {
		server, err := r.setServer(s.index, vs, rs, find)
		if err != nil {
			return nil, fmt.Errorf("real server %s: %w", rs.AddrPort(), err)
		}
		if !known[server] { // also where the rest fails, so that it is taken away again
			s.servers = append(s.servers, server)
		}
		c.servers = append(c.servers, server)
		list = append(list, sched.Server{Index: server.index, Weight: rs.Weight, Edits: rs.Edits, Addr: hashed(vs, rs.AddrPort())})
	}
	if err := r.layOut(c, list); err != nil {
		return nil, fmt.Errorf("lay out its table: %w", err)
	}
	return c, nil
}

// enter puts a prepared service in force, and removes the servers that it has no more.
func (r *Registry) enter(c *change) error {
	if c.table != nil {
		return errors.New("its table is not in force")
	}
	s, vs := c.service, c.vs
	s.layout = c.layout
	if err := r.vips.Put(s.index, abi.AddrOf(vs.Addr)); err != nil {
		return fmt.Errorf("enter its address: %w", err)
	}
	s.present = true
	r.mayPersist = r.mayPersist || vs.Persistence.Timeout > 0
	number, _ := schedulerNumber(vs.Scheduler) // prepare has checked it
	if err := r.putService(abi.ServiceKeyOf(vs.ServiceKey), abi.BpfService{
		Index: s.index, Lease: c.lease, Scheduler: number, Flags: flagsOf(vs),
		Persist: uint32(vs.Persistence.Timeout / conn.TickLength), Netmask: abi.NetmaskOf(vs.Persistence.Netmask), Mark: vs.Mark,
	}); err != nil {
		return err
	}
	errs := []error{r.schedulerIs(s, vs.Scheduler)}
	kept := map[*server]bool{}
	for _, server := range c.servers {
		kept[server] = true
	}
	for _, server := range s.servers {
		if !kept[server] {
			errs = append(errs, r.dropServer(server, vs.Rules.ExpireNoDest))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	vs.RealServers = slices.Clone(vs.RealServers)
	s.servers, s.written, s.lease = c.servers, &vs, c.lease
	return nil
}

// schedulerIs records the scheduler that is in force for a service; "" is none. It empties
// the cache of destinations of the scheduler before.
func (r *Registry) schedulerIs(s *service, now lvs.Scheduler) error {
	before := s.scheduler
	s.scheduler = now
	if before == now || !remembers(before) {
		return nil
	}
	return conn.ForgetDestinations(r.maps, map[uint32]bool{s.index: true})
}

// service finds or makes the entry of a service.
func (r *Registry) service(key lvs.ServiceKey) (*service, error) {
	if s := r.services[key]; s != nil {
		if !s.present { // one that was removed and comes again counts from 0
			return s, errors.Join(r.ofServices.Begin(s.index, &s.tally), r.clearServers(s.index))
		}
		return s, nil
	}
	index, again, err := r.serviceIndexes.take(r.maps.Tables.MaxEntries())
	if err != nil {
		return nil, fmt.Errorf("no room for another virtual server, with those that connections still refer to (Options.Services): %w", err)
	}
	s := &service{index: index}
	r.services[key], r.mayForget, r.filtered = s, true, false // until it is entered
	if err := r.keys.Put(index, abi.ServiceKeyOf(key)); err != nil || r.untouched && !again {
		return s, err
	}
	return s, r.ofServices.Begin(index, &s.tally)
}

// dropServices removes the services that are not wanted. What takes the kernel long is done
// for all of them together.
func (r *Registry) dropServices(wanted map[lvs.ServiceKey]bool) (err error) {
	var gone []uint32
	remembered := map[uint32]bool{}
	for key, s := range r.services {
		if wanted[key] || !s.present {
			continue
		}
		if e := r.serviceTable.Drop(abi.ServiceKeyOf(key)); e != nil {
			err = errors.Join(err, fmt.Errorf("remove virtual server %s: %w", key, e))
			continue
		}
		gone, r.mayForget = append(gone, s.index), true
		if remembers(s.scheduler) {
			remembered[s.index] = true
		}
		s.scheduler = ""
		expires := s.written != nil && s.written.Rules.ExpireNoDest
		for _, server := range s.servers {
			err = errors.Join(err, r.dropServer(server, expires))
		}
		// One that comes again is a new one.
		s.present, s.layout, s.written, s.servers = false, nil, nil, nil
	}
	if len(gone) > 0 {
		err = errors.Join(err, r.emptyTables(gone))
	}
	if len(remembered) > 0 {
		err = errors.Join(err, conn.ForgetDestinations(r.maps, remembered))
	}
	return err
}
