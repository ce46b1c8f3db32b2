package dataplane

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/internal/sched"
	"weir/lvs"
)

// Set makes the data plane do what the plan says, and nothing else. It comes in
// an order in which no packet meets a half-built service: servers before the
// tables that name them, tables before their service; going, the other way
// round. What is as the last plan had it is not written again. What cannot be done
// is said in one error; the rest is done.
func (p *Plane) Set(plan lvs.Plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fits(plan); err != nil {
		return err
	}
	p.planned = true
	p.owns.virtual = virtualAddrs(plan)
	clear(p.owns.devices)
	timeouts, err := timeoutsOf(plan.Timeouts)
	if err != nil {
		return err
	}
	lease, err := p.setInstances(plan.Instances)
	if err != nil {
		return err
	}
	find := p.finder()
	defer find.close()
	errs := []error{p.setTimeouts(timeouts), p.setDirectors(plan.Directors), p.setMarks(plan.Marks)}
	wanted, changed := map[lvs.ServiceKey]bool{}, []*change{}
	for _, vs := range plan.Services {
		wanted[vs.ServiceKey] = true
		if s := p.services[vs.ServiceKey]; s != nil && s.holds(vs, lease[vs.Addr]) {
			continue
		}
		c, err := p.prepare(vs, lease[vs.Addr], find)
		if err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", vs.ServiceKey, err))
			continue
		}
		changed = append(changed, c)
	}
	p.await(find.missing)
	errs = append(errs, p.putTables(changed))
	for _, c := range changed {
		if err := p.enter(c); err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", c.vs.ServiceKey, err))
		}
	}
	errs = append(errs, p.dropServices(wanted), p.setEnds(plan),
		p.tables.serviceCounts.Put(0, countServices(wanted)), p.setDevices(plan.Devices))
	if p.lettingGo {
		errs = append(errs, p.letGo())
	}
	return errors.Join(errs...)
}

// change is a service on its way into the tables.
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
	if !s.present || s.written == nil || s.lease != lease || !slices.Equal(s.written.RealServers, vs.RealServers) {
		return false
	}
	was := *s.written
	was.RealServers, vs.RealServers = nil, nil
	return reflect.DeepEqual(was, vs)
}

// countServices counts them all, and those that take a look-up of their own.
func countServices(wanted map[lvs.ServiceKey]bool) (n abi.BpfServiceCount) {
	for key := range wanted {
		n.All++
		switch {
		case key.Mark != 0:
			n.ByMark++
		case key.Port == 0:
			n.AnyPort++
		}
	}
	return n
}

// prepare enters what a service is to have, and lays out its table.
func (p *Plane) prepare(vs lvs.VirtualServer, lease uint32, find *finder) (*change, error) {
	if err := checkService(vs); err != nil {
		return nil, err
	}
	s, err := p.service(vs.ServiceKey)
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
		server, err := p.setServer(s.index, vs, rs, find)
		if err != nil {
			return nil, fmt.Errorf("real server %s: %w", rs.AddrPort(), err)
		}
		if !known[server] { // also where the rest fails, so that it is taken away again
			s.servers = append(s.servers, server)
		}
		c.servers = append(c.servers, server)
		list = append(list, sched.Server{Index: server.index, Weight: rs.Weight, Edits: rs.Edits, Addr: rs.AddrPort()})
	}
	if err := p.layOut(c, list); err != nil {
		return nil, fmt.Errorf("lay out its table: %w", err)
	}
	return c, nil
}

// enter puts a service that is prepared in force, and takes those servers out of it
// that it has no more.
func (p *Plane) enter(c *change) error {
	if c.table != nil {
		return errors.New("its table is not in force")
	}
	s, vs := c.service, c.vs
	s.layout = c.layout
	if err := p.tables.serviceVips.Put(s.index, abi.AddrOf(vs.Addr)); err != nil {
		return fmt.Errorf("enter its address: %w", err)
	}
	s.present = true
	number, _ := schedulerNumber(vs.Scheduler) // prepare has checked it
	if err := p.tables.services.Put(abi.ServiceKeyOf(vs.ServiceKey), abi.BpfService{
		Index: s.index, Lease: c.lease, Scheduler: number, Flags: flagsOf(vs),
		Persist: uint32(vs.Persistence.Timeout / tickLength), Netmask: abi.NetmaskOf(vs.Persistence.Netmask), Mark: vs.Mark,
	}); err != nil {
		return err
	}
	errs := []error{p.schedulerIs(s, vs.Scheduler)}
	kept := map[*server]bool{}
	for _, server := range c.servers {
		kept[server] = true
	}
	for _, server := range s.servers {
		if !kept[server] {
			errs = append(errs, p.dropServer(server, vs.Rules.ExpireNoDest))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	vs.RealServers = slices.Clone(vs.RealServers)
	s.servers, s.written, s.lease = c.servers, &vs, c.lease
	return nil
}

// schedulerIs notes a service's scheduler, once it is in force; "" is none. What
// the one before it had remembered is forgotten.
func (p *Plane) schedulerIs(s *service, now lvs.Scheduler) error {
	before := s.scheduler
	s.scheduler = now
	if before == now || !cached(before) {
		return nil
	}
	return p.forgetDestinations(s.index)
}

func flagsOf(vs lvs.VirtualServer) (flags abi.BpfServiceFlags) {
	for flag, set := range map[abi.BpfServiceFlags]bool{
		abi.BpfServiceFlagsSERVICE_PORT:             vs.SHPort,
		abi.BpfServiceFlagsSERVICE_FALLBACK:         vs.SHFallback,
		abi.BpfServiceFlagsSERVICE_BY_MARK:          vs.Mark != 0,
		abi.BpfServiceFlagsSERVICE_ANY_PORT:         vs.Mark == 0 && vs.Port == 0,
		abi.BpfServiceFlagsSERVICE_ONE_PACKET:       vs.OnePacket,
		abi.BpfServiceFlagsSERVICE_EXPIRE_NODEST:    vs.Rules.ExpireNoDest,
		abi.BpfServiceFlagsSERVICE_EXPIRE_QUIESCENT: vs.Rules.ExpireQuiescentTemplate,
		abi.BpfServiceFlagsSERVICE_SLOPPY:           vs.Rules.SloppyTCP,
		abi.BpfServiceFlagsSERVICE_KEEP_REUSED:      vs.Rules.ReuseMode == lvs.ReuseKeeps,
		abi.BpfServiceFlagsSERVICE_REUSE_FIN_WAIT:   vs.Rules.ReuseMode == lvs.ReuseFinWait,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// schedulerNumber is a scheduler's number in the data plane.
func schedulerNumber(name lvs.Scheduler) (abi.BpfScheduler, bool) {
	row, ok := sched.RowOf(name)
	return abi.BpfScheduler(row.Number), ok
}

// schedulerOf is the name of the scheduler with a number; "" where there is none.
func schedulerOf(number abi.BpfScheduler) lvs.Scheduler {
	for _, row := range sched.Rows() {
		if abi.BpfScheduler(row.Number) == number {
			return row.Name
		}
	}
	return ""
}

// service finds or makes the entry of a service.
func (p *Plane) service(key lvs.ServiceKey) (*service, error) {
	if s := p.services[key]; s != nil {
		if !s.present { // one that was removed and comes again counts from 0
			return s, errors.Join(p.ofServices().begin(s.index, &s.tally), p.clearServers(s.index))
		}
		return s, nil
	}
	index, err := p.indexes.services.take(p.maps.Tables.MaxEntries())
	if err != nil {
		return nil, fmt.Errorf("no room for another virtual server, with those that connections still refer to (Options.Services): %w", err)
	}
	s := &service{index: index}
	p.services[key] = s
	return s, p.ofServices().begin(index, &s.tally)
}

// setServer writes what is new of a server.
func (p *Plane) setServer(service uint32, vs lvs.VirtualServer, rs lvs.RealServer, find *finder) (*server, error) {
	key := serverKey{service, rs.AddrPort()}
	s := p.servers[key]
	// A client of all ports keeps the one that it asked for.
	keepsPort := rs.Port == 0 || vs.Port == 0 && vs.Persistence.Timeout > 0
	if s != nil && s.present && s.written != nil && *s.written == rs && s.keepsPort == keepsPort {
		return s, nil
	}
	var hop netlnk.NextHop
	if s != nil && s.present && s.written != nil {
		hop = s.hop // Run keeps it fresh
	} else {
		hop = find.hop(rs.Addr)
	}
	if err := checkServer(vs, rs); err != nil {
		return nil, err
	}
	if s == nil {
		index, err := p.indexes.servers.take(p.maps.Servers.MaxEntries())
		if err != nil {
			return nil, fmt.Errorf("no room for another one, with those that connections still refer to (Options.RealServers): %w", err)
		}
		s = &server{key: key, index: index}
		p.servers[key] = s
		if err := p.ofServers().begin(index, &s.tally); err != nil {
			return nil, err
		}
	}
	s.hop, s.present, s.method, s.keepsPort, s.written = freshest(s.hop, hop), true, rs.Method, keepsPort, nil
	s.ip4 = vs.Addr.Is4()
	if err := p.setLimits(s, limitsOf(rs)); err != nil {
		return nil, err
	}
	if err := p.putServer(key, s); err != nil {
		return nil, err
	}
	s.written = &rs
	if s.hop.Index != 0 && !s.hop.Local && !s.hop.Valid {
		find.missing = append(find.missing, s)
	}
	return s, nil
}

// putServer writes the server's entry as the data plane reads it.
func (p *Plane) putServer(key serverKey, s *server) error {
	entry := abi.BpfServer{
		Addr: abi.AddrOf(key.addr.Addr()), Port: abi.Port(key.addr.Port()),
		Method: uint8(s.method), Service: key.service, Swept: p.epoch, Mtu: uint16(min(s.hop.MTU, math.MaxUint16)),
	}
	if s.keepsPort {
		entry.Method |= uint8(abi.BpfMethodMETHOD_KEEPS_PORT)
	}
	entry.Way.Ifindex = uint32(s.hop.Index)
	copy(entry.Way.Dst[:], s.hop.Dst)
	copy(entry.Way.Src[:], s.hop.Src)
	if s.present {
		entry.Flags |= abi.BpfServerFlagsSERVER_PRESENT
	} else if s.letsGo {
		entry.Flags |= abi.BpfServerFlagsSERVER_LETS_GO
	}
	if s.hop.Local {
		entry.Flags |= abi.BpfServerFlagsSERVER_LOCAL
	}
	if s.hop.Valid {
		entry.Flags |= abi.BpfServerFlagsSERVER_RESOLVED
	}
	if err := p.setOwn(&entry, s); err != nil {
		return fmt.Errorf("enter our address on the way: %w", err)
	}
	return p.tables.servers.Put(s.index, entry)
}

func (p *Plane) dropServices(wanted map[lvs.ServiceKey]bool) (err error) {
	for key, s := range p.services {
		if wanted[key] || !s.present {
			continue
		}
		if e := p.tables.services.Drop(abi.ServiceKeyOf(key)); e != nil {
			err = errors.Join(err, fmt.Errorf("remove virtual server %s: %w", key, e))
			continue
		}
		if e := p.dropTable(s.index); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the table of %s: %w", key, e))
		}
		err = errors.Join(err, p.schedulerIs(s, ""))
		letsGo := s.written != nil && s.written.Rules.ExpireNoDest
		for _, server := range s.servers {
			err = errors.Join(err, p.dropServer(server, letsGo))
		}
		// One that comes again is a new one.
		s.present, s.layout, s.written, s.servers = false, nil, nil, nil
	}
	return err
}

// dropServer takes a server out of service. Its connections stay its own, as
// in the kernel: they are silent until the server is back or their time is over,
// unless it lets them go.
func (p *Plane) dropServer(s *server, letsGo bool) error {
	if !s.present {
		return nil
	}
	s.present, s.written, s.removed, s.letsGo = false, nil, p.epoch, letsGo
	p.lettingGo = p.lettingGo || letsGo
	return p.putServer(s.key, s)
}

// clearServers begins the counters of a service's servers at 0.
func (p *Plane) clearServers(service uint32) (err error) {
	for key, s := range p.servers {
		if key.service == service {
			err = errors.Join(err, p.ofServers().begin(s.index, &s.tally))
		}
	}
	return err
}

// freshest keeps a next hop that was known over one that is being looked for:
// the neighbour table forgets what nobody used for a while.
func freshest(old, found netlnk.NextHop) netlnk.NextHop {
	sameWay := old.Index == found.Index && old.Gateway == found.Gateway && !found.Local
	if old.Valid && !found.Valid && sameWay {
		return old
	}
	return found
}
