package dataplane

import (
	"errors"
	"fmt"
	"math"

	"weir/internal/netlnk"
	"weir/internal/sched"
	"weir/lvs"
)

// Set makes the data plane do what the plan says, and nothing else. It comes in
// an order in which no packet meets a half-built service: servers before the
// tables that name them, tables before their service; going, the other way
// round. What cannot be done is said in one error; the rest is done.
func (p *Plane) Set(plan lvs.Plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fits(plan); err != nil {
		return err
	}
	p.planned = true
	timeouts, err := timeoutsOf(plan.Timeouts)
	if err != nil {
		return err
	}
	lease, err := p.setInstances(plan.Instances)
	if err != nil {
		return err
	}
	errs := []error{p.setTimeouts(timeouts), p.setDirectors(plan.Directors), p.setMarks(plan.Marks)}
	wanted := map[lvs.ServiceKey]bool{}
	kept, find := map[*server]bool{}, p.finder()
	for _, vs := range plan.Services {
		wanted[vs.ServiceKey] = true
		if err := p.setService(vs, lease[vs.Addr], kept, find); err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", vs.ServiceKey, err))
		}
	}
	errs = append(errs, p.dropServices(wanted), p.dropServers(kept), p.setEnds(plan),
		p.tables.serviceCounts.put(0, countServices(wanted)), p.setDevices(plan.Devices))
	return errors.Join(errs...)
}

// countServices counts them all, and those that take a look-up of their own.
func countServices(wanted map[lvs.ServiceKey]bool) (n bpfServiceCount) {
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

func (p *Plane) setService(vs lvs.VirtualServer, lease uint32, kept map[*server]bool, find finder) error {
	if vs.Mark == 0 && vs.Port == 0 && vs.Persistence.Timeout == 0 {
		return errors.New("a service of all ports takes persistence: give it a time-out")
	}
	s, err := p.service(vs.ServiceKey)
	if err != nil {
		return err
	}
	var list []sched.Server
	for _, rs := range vs.RealServers {
		server, err := p.setServer(s.index, vs, rs, find(rs.Addr))
		if err != nil {
			return fmt.Errorf("real server %s: %w", rs.AddrPort(), err)
		}
		kept[server] = true
		list = append(list, sched.Server{Index: server.index, Weight: rs.Weight, Edits: rs.Edits, Addr: rs.AddrPort()})
	}
	if err := p.layOut(s, vs.Scheduler, list); err != nil {
		return fmt.Errorf("lay out its table: %w", err)
	}
	if err := p.tables.serviceVips.put(s.index, wireAddr(vs.Addr)); err != nil {
		return fmt.Errorf("enter its address: %w", err)
	}
	s.present = true
	if err := p.tables.services.put(wireService(vs.ServiceKey), bpfService{
		Index: s.index, Lease: lease, Scheduler: schedulers[vs.Scheduler], Flags: flagsOf(vs),
		Persist: uint32(vs.Persistence.Timeout / tickLength), Netmask: netmaskWords(vs.Persistence.Netmask), Mark: vs.Mark,
	}); err != nil {
		return err
	}
	return p.schedulerIs(s, vs.Scheduler)
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

func flagsOf(vs lvs.VirtualServer) (flags bpfServiceFlags) {
	for flag, set := range map[bpfServiceFlags]bool{
		bpfServiceFlagsSERVICE_PORT:             vs.SHPort,
		bpfServiceFlagsSERVICE_FALLBACK:         vs.SHFallback,
		bpfServiceFlagsSERVICE_BY_MARK:          vs.Mark != 0,
		bpfServiceFlagsSERVICE_ANY_PORT:         vs.Mark == 0 && vs.Port == 0,
		bpfServiceFlagsSERVICE_ONE_PACKET:       vs.OnePacket,
		bpfServiceFlagsSERVICE_EXPIRE_NODEST:    vs.Rules.ExpireNoDest,
		bpfServiceFlagsSERVICE_EXPIRE_QUIESCENT: vs.Rules.ExpireQuiescentTemplate,
		bpfServiceFlagsSERVICE_SLOPPY:           vs.Rules.SloppyTCP,
		bpfServiceFlagsSERVICE_KEEP_REUSED:      vs.Rules.ReuseMode == lvs.ReuseKeeps,
		bpfServiceFlagsSERVICE_REUSE_FIN_WAIT:   vs.Rules.ReuseMode == lvs.ReuseFinWait,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// schedulers are the data plane's names of them.
var schedulers = map[lvs.Scheduler]bpfScheduler{
	lvs.RoundRobin:              bpfSchedulerSCHED_RR,
	lvs.WeightedRoundRobin:      bpfSchedulerSCHED_WRR,
	lvs.LeastConnection:         bpfSchedulerSCHED_LC,
	lvs.WeightedLeastConnection: bpfSchedulerSCHED_WLC,
	lvs.ShortestExpectedDelay:   bpfSchedulerSCHED_SED,
	lvs.NeverQueue:              bpfSchedulerSCHED_NQ,
	lvs.WeightedFailover:        bpfSchedulerSCHED_FO,
	lvs.WeightedOverflow:        bpfSchedulerSCHED_OVF,
	lvs.DestinationHash:         bpfSchedulerSCHED_DH,
	lvs.SourceHash:              bpfSchedulerSCHED_SH,
	lvs.MaglevHash:              bpfSchedulerSCHED_MH,
	lvs.PowerOfTwoChoices:       bpfSchedulerSCHED_TWOS,
	lvs.Locality:                bpfSchedulerSCHED_LBLC,
	lvs.LocalityReplicated:      bpfSchedulerSCHED_LBLCR,
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

func (p *Plane) setServer(service uint32, vs lvs.VirtualServer, rs lvs.RealServer, hop netlnk.NextHop) (*server, error) {
	if rs.Method != lvs.Tunnel && vs.Addr.Is4() != rs.Addr.Is4() {
		return nil, fmt.Errorf("%s to another address family: only TUN does that", rs.Method)
	}
	if rs.Weight < 0 || rs.Weight > math.MaxInt32 {
		return nil, fmt.Errorf("weight %d: expected 0 to %d", rs.Weight, math.MaxInt32)
	}
	if hop.Local && rs.Method == lvs.Masquerade && rs.Port != vs.Port {
		return nil, fmt.Errorf("NAT to another port of this very machine is not to be had yet: use port %d", vs.Port)
	}
	key := serverKey{service, rs.AddrPort()}
	s := p.servers[key]
	if s == nil {
		index, err := p.indexes.servers.take(p.maps.Servers.MaxEntries())
		if err != nil {
			return nil, fmt.Errorf("no room for another one, with those that connections still refer to (Options.RealServers): %w", err)
		}
		s = &server{index: index}
		p.servers[key] = s
		if err := p.ofServers().begin(index, &s.tally); err != nil {
			return nil, err
		}
	}
	s.hop, s.present, s.method = freshest(s.hop, hop), true, rs.Method
	// A client of all ports keeps the one that it asked for.
	s.keepsPort = rs.Port == 0 || vs.Port == 0 && vs.Persistence.Timeout > 0
	if err := p.setLimits(s, limitsOf(rs)); err != nil {
		return nil, err
	}
	return s, p.putServer(key, s)
}

// putServer writes the server's entry as the data plane reads it.
func (p *Plane) putServer(key serverKey, s *server) error {
	entry := bpfServer{
		Addr: wireAddr(key.addr.Addr()), Port: wirePort(key.addr.Port()),
		Method: uint8(s.method), Service: key.service, Swept: p.epoch, Mtu: uint16(min(s.hop.MTU, math.MaxUint16)),
	}
	if s.keepsPort {
		entry.Method |= uint8(bpfMethodMETHOD_KEEPS_PORT)
	}
	entry.Way.Ifindex = uint32(s.hop.Index)
	copy(entry.Way.Dst[:], s.hop.Dst)
	copy(entry.Way.Src[:], s.hop.Src)
	if s.present {
		entry.Flags |= bpfServerFlagsSERVER_PRESENT
	}
	if s.hop.Local {
		entry.Flags |= bpfServerFlagsSERVER_LOCAL
	}
	if s.hop.Valid {
		entry.Flags |= bpfServerFlagsSERVER_RESOLVED
	}
	if s.method == lvs.Tunnel && s.hop.Source.IsValid() {
		if err := p.tables.tunnelSources.put(s.index, wireAddr(s.hop.Source)); err != nil {
			return fmt.Errorf("enter our address on the way: %w", err)
		}
	}
	return p.tables.servers.put(s.index, entry)
}

func (p *Plane) dropServices(wanted map[lvs.ServiceKey]bool) (err error) {
	for key, s := range p.services {
		if wanted[key] || !s.present {
			continue
		}
		if e := p.tables.services.drop(wireService(key)); e != nil {
			err = errors.Join(err, fmt.Errorf("remove virtual server %s: %w", key, e))
			continue
		}
		if e := p.dropTable(s.index); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the table of %s: %w", key, e))
		}
		err = errors.Join(err, p.schedulerIs(s, ""))
		s.present, s.layout = false, nil // one that comes again is a new one
	}
	return err
}

// dropServers takes servers out of service. Their connections stay theirs, as
// in the kernel: they are silent until the server is back or their time is over.
func (p *Plane) dropServers(kept map[*server]bool) (err error) {
	for key, s := range p.servers {
		if kept[s] || !s.present {
			continue
		}
		s.present, s.removed = false, p.epoch
		err = errors.Join(err, p.putServer(key, s))
	}
	return err
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
