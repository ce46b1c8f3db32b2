package dataplane

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

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
	lease, err := p.setInstances(plan.Instances)
	if err != nil {
		return err
	}
	errs := []error{p.setDirectors(plan.Directors)}
	wanted := map[lvs.ServiceKey]bool{}
	kept := map[*server]bool{}
	for _, vs := range plan.Services {
		wanted[vs.ServiceKey] = true
		if err := p.setService(vs, lease[vs.Addr], kept); err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", vs.ServiceKey, err))
		}
	}
	errs = append(errs, p.dropServices(wanted), p.dropServers(kept), p.setDevices(plan.Devices))
	return errors.Join(errs...)
}

func (p *Plane) setService(vs lvs.VirtualServer, lease uint32, kept map[*server]bool) error {
	s, err := p.service(vs.ServiceKey)
	if err != nil {
		return err
	}
	var list []sched.Server
	for _, rs := range vs.RealServers {
		server, err := p.setServer(s.index, vs.Protocol, rs)
		if err != nil {
			return fmt.Errorf("real server %s: %w", rs.AddrPort(), err)
		}
		kept[server] = true
		list = append(list, sched.Server{Index: server.index, Weight: rs.Weight})
	}
	slots, err := sched.Table(vs.Scheduler, list)
	if err != nil {
		return err
	}
	if err := p.setTable(s, slots); err != nil {
		return fmt.Errorf("lay out its table: %w", err)
	}
	s.present = true
	return p.maps.Services.Put(wireService(vs.ServiceKey), bpfService{
		Index: s.index, Lease: lease, Scheduler: schedulers[vs.Scheduler],
	})
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
}

// service finds or makes the entry of a service.
func (p *Plane) service(key lvs.ServiceKey) (*service, error) {
	if s := p.services[key]; s != nil {
		return s, nil
	}
	index, err := p.indexes.services.take(p.maps.Tables.MaxEntries())
	if err != nil {
		return nil, fmt.Errorf("no room for another service: %w", err)
	}
	s := &service{index: index}
	p.services[key] = s
	return s, p.clearStats(p.maps.ServiceStats, index)
}

// setTable swaps in a new table where the slots have changed. The cursor goes
// on where it stood.
func (p *Plane) setTable(s *service, slots []uint32) error {
	if s.slots != nil && slices.Equal(s.slots, slots) {
		return nil
	}
	spec := p.spec.Maps[bpfMapTables].InnerMap.Copy()
	spec.MaxEntries = uint32(tableSlots + len(slots))
	table, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	defer table.Close()
	words := make([]uint64, tableSlots, spec.MaxEntries)
	words[tableCursor], words[tableLength] = p.cursor(s), uint64(len(slots))
	for _, slot := range slots {
		words = append(words, uint64(slot))
	}
	if err := fill(table, words); err != nil {
		return err
	}
	if err := p.maps.Tables.Put(s.index, table); err != nil {
		return err
	}
	s.slots = append([]uint32{}, slots...)
	return nil
}

// The first elements of a table (bpf/abi.h).
const (
	tableCursor = 0
	tableLength = 1
	tableSlots  = 2
)

func fill(array *ebpf.Map, words []uint64) error {
	keys := make([]uint32, len(words))
	for i := range keys {
		keys[i] = uint32(i)
	}
	_, err := array.BatchUpdate(keys, words, nil)
	return err
}

// cursor is where the service's present table stands, 0 where it has none.
func (p *Plane) cursor(s *service) (cursor uint64) {
	var table *ebpf.Map
	if err := p.maps.Tables.Lookup(s.index, &table); err != nil {
		return 0
	}
	defer table.Close()
	if err := table.Lookup(uint32(tableCursor), &cursor); err != nil {
		return 0
	}
	return cursor
}

func (p *Plane) setServer(service uint32, protocol lvs.Protocol, rs lvs.RealServer) (*server, error) {
	if rs.Method != lvs.DirectRoute && rs.Method != lvs.Masquerade {
		return nil, fmt.Errorf("forward method %s is not to be had yet: use DR or NAT", rs.Method)
	}
	key := serverKey{service, rs.AddrPort(), rs.Method}
	s := p.servers[key]
	if s == nil {
		index, err := p.indexes.servers.take(p.maps.Servers.MaxEntries())
		if err != nil {
			return nil, fmt.Errorf("no room for another real server: %w", err)
		}
		s = &server{index: index}
		p.servers[key] = s
		if err := p.clearStats(p.maps.ServerStats, index); err != nil {
			return nil, err
		}
	}
	s.hop, s.present = freshest(s.hop, p.find(rs.Addr)), true
	if err := p.setLimits(s.index, rs); err != nil {
		return nil, err
	}
	return s, p.putServer(key, protocol, s)
}

// putServer writes the server's entry as the data plane reads it.
func (p *Plane) putServer(key serverKey, protocol lvs.Protocol, s *server) error {
	entry := bpfServer{
		Ifindex: uint32(s.hop.Index), Addr: wireAddr(key.addr.Addr()), Port: wirePort(key.addr.Port()),
		Method: uint8(key.method), Protocol: uint8(protocol), Service: key.service, Swept: p.epoch,
	}
	copy(entry.Dst[:], s.hop.Dst)
	copy(entry.Src[:], s.hop.Src)
	if s.present {
		entry.Flags |= bpfServerFlagsSERVER_PRESENT
	}
	if s.hop.Local {
		entry.Flags |= bpfServerFlagsSERVER_LOCAL
	}
	if s.hop.Valid {
		entry.Flags |= bpfServerFlagsSERVER_RESOLVED
	}
	return p.maps.Servers.Put(s.index, entry)
}

func (p *Plane) dropServices(wanted map[lvs.ServiceKey]bool) (err error) {
	for key, s := range p.services {
		if wanted[key] || !s.present {
			continue
		}
		if e := p.maps.Services.Delete(wireService(key)); e != nil && !errors.Is(e, ebpf.ErrKeyNotExist) {
			err = errors.Join(err, fmt.Errorf("remove virtual server %s: %w", key, e))
			continue
		}
		s.present = false
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
		err = errors.Join(err, p.putServer(key, p.protocol(key.service), s))
	}
	return err
}

func (p *Plane) protocol(index uint32) lvs.Protocol {
	for key, s := range p.services {
		if s.index == index {
			return key.Protocol
		}
	}
	return 0
}

// clearStats begins the counters of a new service or server at 0.
func (p *Plane) clearStats(stats *ebpf.Map, index uint32) error {
	zero := make([]bpfCounter, ebpf.MustPossibleCPU())
	return stats.Put(index, zero)
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
