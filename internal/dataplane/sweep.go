package dataplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

const (
	// sweepLeast is the time from the beginning of one sweep to that of the next: a
	// connection may leave so much too late. Where they are many, a sweep takes longer.
	sweepLeast = 500 * time.Millisecond
	// Templates are in a hash table and not on cards: they are looked at less often
	// where they are many.
	templateMost = 3500 * time.Millisecond
	perTemplate  = 3500 * time.Nanosecond
	// So many times longer than it sweeps it rests, unless many connections are over.
	restFor   = 60
	restShort = 250 * time.Microsecond
)

// sweepOn sweeps until ctx ends: some cards at a time, which takes microseconds, and then
// it rests. So it takes little of a CPU and nobody waits for it: a kernel that does not
// preempt itself lets packets wait for a program, and for any thread that does not sleep.
func (p *Plane) sweepOn(ctx context.Context) {
	next := time.NewTimer(sweepLeast)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			pause, err := p.sweepSome()
			if err != nil {
				p.log.Error("sweep connections", "error", err)
			}
			next.Reset(pause)
		}
	}
}

// sweepSome sweeps some cards, and after the last of them the rest. It says how long
// to wait then.
func (p *Plane) sweepSome() (pause time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cards.sweeping {
		p.beginSweep(time.Since(p.swept) >= pauseFor(p.liveTemplates))
	}
	begun := time.Now()
	done, err := p.sweepCards()
	if err != nil {
		p.beginSweep(true) // another try
		return sweepLeast, err
	}
	switch {
	case !done && p.cards.args.Due < sweepDue:
		return restFor * time.Since(begun), nil
	case !done: // they are to leave
		return restShort, nil
	}
	err = p.endSweep()
	return max(sweepLeast-time.Since(p.cards.begun), time.Millisecond), err
}

// pauseFor is the time from one look at so many templates to the next.
func pauseFor(templates int) time.Duration {
	return min(max(sweepLeast, time.Duration(templates)*perTemplate), templateMost)
}

// sweepConns sweeps everything now.
func (p *Plane) sweepConns() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beginSweep(true)
	if err := p.sweepAllCards(); err != nil {
		return err
	}
	return p.endSweep()
}

// sweepAllCards goes on with a sweep until it has seen the last card.
func (p *Plane) sweepAllCards() error {
	for {
		if done, err := p.sweepCards(); done || err != nil {
			return err
		}
	}
}

// letGo ends what servers had that have left and let it go, as the kernel does at once
// (ip_vs_expire_nodest_conn_flush, net/netfilter/ipvs/ip_vs_conn.c).
func (p *Plane) letGo() error {
	p.cards.all = true
	p.beginSweep(false)
	if err := p.sweepAllCards(); err != nil {
		return err
	}
	p.lettingGo = false
	return p.sweepTemplates()
}

// beginSweep begins a sweep, of all that there is or of the connections alone.
func (p *Plane) beginSweep(whole bool) {
	if whole {
		p.epoch++
		p.swept = time.Now()
	}
	p.cards.begin(p.epoch, whole)
}

// endSweep sweeps what is not on cards, if this is a sweep of all, and then forgets
// removed servers that nothing refers to any more.
func (p *Plane) endSweep() error {
	if !p.cards.whole {
		return nil
	}
	return errors.Join(p.sweepTemplates(), p.sweepCache(), p.forget())
}

// sweepTemplates deletes the templates whose time is over.
func (p *Plane) sweepTemplates() error {
	if p.liveTemplates == 0 && !p.persistent() {
		return nil
	}
	args := abi.BpfSweep{Epoch: p.epoch, Now: tick()}
	if _, err := p.templateSweep.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return fmt.Errorf("sweep the templates: %w", err)
	}
	p.liveTemplates = int(args.Live)
	return nil
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
		var entry abi.BpfServer
		if err := p.maps.Servers.Lookup(s.index, &entry); err != nil {
			return fmt.Errorf("read server %d: %w", s.index, err)
		}
		if entry.Swept == p.epoch {
			used[key.service] = true
			continue
		}
		if err := p.tables.servers.Drop(s.index); err != nil {
			return fmt.Errorf("clear server %d: %w", s.index, err)
		}
		if err := p.maps.Loads.Put(s.index, abi.BpfLoad{}); err != nil {
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
