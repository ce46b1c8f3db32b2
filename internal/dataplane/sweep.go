package dataplane

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// sweepPause is the time from one sweep to the next: a connection may leave so
// much too late. It grows with their number, to 3.5 s for a million, which keeps
// the sweep's share of a CPU small.
func sweepPause(live int) time.Duration {
	const perConnection = 3500 * time.Nanosecond
	return min(max(sweepLeast, time.Duration(live)*perConnection), sweepMost)
}

// pause is that of the connections which the last sweep met.
func (p *Plane) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sweepPause(p.live)
}

const (
	sweepLeast = 500 * time.Millisecond
	sweepMost  = 3500 * time.Millisecond
)

// sweepConns deletes the connections whose time is over, and then forgets
// removed servers that no connection refers to any more.
func (p *Plane) sweepConns() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	args := bpfSweep{Epoch: p.epoch, Now: tick()}
	if _, err := p.sweep.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return fmt.Errorf("run the sweep: %w", err)
	}
	p.live = int(args.Live)
	return errors.Join(p.sweepCache(), p.forget())
}

// forget frees the numbers of servers that left before this sweep and that it
// met no connection of, and then those of their services.
func (p *Plane) forget() error {
	used := map[uint32]bool{}
	for key, s := range p.servers {
		if s.present || s.removed == p.epoch {
			used[key.service] = true
			continue
		}
		var entry bpfServer
		if err := p.maps.Servers.Lookup(s.index, &entry); err != nil {
			return fmt.Errorf("read server %d: %w", s.index, err)
		}
		if entry.Swept == p.epoch {
			used[key.service] = true
			continue
		}
		if err := p.tables.servers.drop(s.index); err != nil {
			return fmt.Errorf("clear server %d: %w", s.index, err)
		}
		if err := p.maps.Loads.Put(s.index, bpfLoad{}); err != nil {
			return fmt.Errorf("clear the load of server %d: %w", s.index, err)
		}
		p.indexes.servers.free(s.index)
		delete(p.servers, key)
	}
	for key, s := range p.services {
		if !s.present && !used[s.index] {
			p.indexes.services.free(s.index)
			delete(p.services, key)
		}
	}
	return nil
}
