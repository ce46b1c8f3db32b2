package dataplane

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// Counter is what passed since the service or server was added, or zeroed: from
// the clients, and to them where the answers pass the director (NAT).
type Counter struct {
	Conns, Packets, Bytes uint64
	OutPackets, OutBytes  uint64
}

func (c Counter) plus(b abi.BpfCounter) Counter {
	return Counter{c.Conns + b.Conns, c.Packets + b.Packets, c.Bytes + b.Bytes, c.OutPackets + b.OutPackets, c.OutBytes + b.OutBytes}
}

func (c Counter) minus(d Counter) Counter {
	return Counter{c.Conns - d.Conns, c.Packets - d.Packets, c.Bytes - d.Bytes, c.OutPackets - d.OutPackets, c.OutBytes - d.OutBytes}
}

// tally is how a service's or server's counters are read. The data plane only
// ever adds to them, so that zeroing notes where they stood.
type tally struct {
	zero Counter
	estimator
}

// tallies are the counters of all services, or of all servers, and where they
// were zeroed, which outlives the process.
type tallies struct {
	stats, zeros *ebpf.Map
}

func (p *Plane) ofServices() tallies { return tallies{p.maps.ServiceStats, p.maps.ServiceZeros} }
func (p *Plane) ofServers() tallies  { return tallies{p.maps.ServerStats, p.maps.ServerZeros} }

// raw is what the data plane has counted, on all CPUs together.
func (t tallies) raw(index uint32) (Counter, error) {
	var each []abi.BpfCounter
	if err := t.stats.Lookup(index, &each); err != nil {
		return Counter{}, fmt.Errorf("read the counters: %w", err)
	}
	return total(each), nil
}

// begin starts the counters of a new service or server at 0.
func (t tallies) begin(index uint32, of *tally) error {
	*of = tally{}
	return errors.Join(t.stats.Put(index, make([]abi.BpfCounter, ebpf.MustPossibleCPU())), t.zeros.Put(index, abi.BpfCounter{}))
}

// adopt goes on with counters that an earlier process left; their rates begin
// anew.
func (t tallies) adopt(index uint32, of *tally) error {
	now, err := t.raw(index)
	if err != nil {
		return err
	}
	var zero abi.BpfCounter
	if err := t.zeros.Lookup(index, &zero); err != nil {
		return fmt.Errorf("read where the counters were zeroed: %w", err)
	}
	of.zero = Counter{}.plus(zero)
	of.restart(now)
	return nil
}

// reset has the counters count from 0 from now on.
func (t tallies) reset(index uint32, of *tally) error {
	now, err := t.raw(index)
	if err != nil {
		return err
	}
	of.zero = now
	of.restart(now)
	return t.zeros.Put(index, abi.BpfCounter{
		Conns: now.Conns, Packets: now.Packets, Bytes: now.Bytes, OutPackets: now.OutPackets, OutBytes: now.OutBytes,
	})
}

// estimate takes the next sample of these rates, which stand at their numbers; nil is
// none. It reads many counters at a time, and lets go of the lock in between.
func (t tallies) estimate(lock sync.Locker, of []*tally) error {
	lock.Lock()
	defer lock.Unlock()
	cpus := ebpf.MustPossibleCPU()
	size := min(tallyChunk, int(t.stats.MaxEntries()))
	indexes, counters := make([]uint32, size), make([]abi.BpfCounter, size*cpus)
	for cursor, met := (ebpf.MapBatchCursor{}), 0; met < len(of); {
		n, err := t.stats.BatchLookup(&cursor, indexes, counters, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // which is the end
			return fmt.Errorf("read the counters: %w", err)
		}
		if n == 0 {
			return nil
		}
		for i, index := range indexes[:n] {
			if int(index) < len(of) && of[index] != nil {
				of[index].sample(total(counters[i*cpus : (i+1)*cpus]))
			}
		}
		met += n
		lock.Unlock()
		lock.Lock()
	}
	return nil
}

// tallyChunk is how many counters are read at a time.
const tallyChunk = 512

// total is what all CPUs have counted together.
func total(each []abi.BpfCounter) (sum Counter) {
	for _, c := range each {
		sum = sum.plus(c)
	}
	return sum
}

// read is what was counted since the counters were zeroed.
func (t tallies) read(index uint32, of *tally) (Counter, error) {
	now, err := t.raw(index)
	return now.minus(of.zero), err
}

// Zero has the counters of these services and of their servers count from 0, and
// their rates begin anew, as ipvsadm -Z does; without a key those of all services.
// What was counted with servers that are in no service now stays (ip_vs_zero_service,
// net/netfilter/ipvs/ip_vs_ctl.c).
func (p *Plane) Zero(keys ...lvs.ServiceKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[uint32]bool{}
	for _, key := range keys {
		s := p.services[key]
		if s == nil || !s.present {
			return fmt.Errorf("zero the counters of %s: there is no such service", key)
		}
		wanted[s.index] = true
	}
	return p.eachTally(func(t tallies, service, index uint32, of *tally) error {
		if len(keys) > 0 && !wanted[service] {
			return nil
		}
		return t.reset(index, of)
	})
}

// estimate takes the next sample of all rates.
func (p *Plane) estimate() error {
	p.mu.Lock()
	services, servers := make([]*tally, len(p.indexes.services.used)), make([]*tally, len(p.indexes.servers.used))
	for _, s := range p.services {
		if s.present {
			services[s.index] = &s.tally
		}
	}
	for _, s := range p.servers {
		if s.present {
			servers[s.index] = &s.tally
		}
	}
	p.mu.Unlock()
	return errors.Join(p.ofServices().estimate(&p.mu, services), p.ofServers().estimate(&p.mu, servers))
}

// eachTally goes through the services and servers that the plan has.
func (p *Plane) eachTally(do func(t tallies, service, index uint32, of *tally) error) error {
	for key, s := range p.services {
		if !s.present {
			continue
		}
		if err := do(p.ofServices(), s.index, s.index, &s.tally); err != nil {
			return fmt.Errorf("virtual server %s: %w", key, err)
		}
	}
	for key, s := range p.servers {
		if !s.present {
			continue
		}
		if err := do(p.ofServers(), key.service, s.index, &s.tally); err != nil {
			return fmt.Errorf("real server %s: %w", key.addr, err)
		}
	}
	return nil
}
