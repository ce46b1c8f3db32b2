package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"weir/internal/netlnk"
)

// refreshEvery is how often the ways to the servers are looked at even when
// nothing was heard.
const refreshEvery = 2 * time.Second

// settle gathers what the kernel reports in bursts.
const settle = 10 * time.Millisecond

// Run keeps the ways to the real servers fresh, sweeps the connections, estimates
// the rates and repairs drift, until ctx ends.
func (p *Plane) Run(ctx context.Context) (err error) {
	if p.owned, err = p.own(); err != nil {
		return err
	}
	defer func() { p.owned.Close() }()
	events, err := netlnk.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch routes and neighbours: %w", err)
	}
	refresh, sweep, estimate := time.NewTicker(refreshEvery), time.NewTimer(sweepPause(0)), time.NewTicker(estimateEvery)
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	defer refresh.Stop()
	defer sweep.Stop()
	defer estimate.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-events:
			if !ok {
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("watch routes and neighbours: the kernel's reports ended")
			}
			gather(ctx, events)
			p.resolve()
		case <-refresh.C:
			p.resolve()
		case <-sweep.C:
			begun := time.Now()
			if err := p.sweepConns(); err != nil {
				p.log.Error("sweep connections", "error", err)
			}
			sweep.Reset(p.pause() - time.Since(begun))
		case <-compare.C:
			p.repairDrift()
		case <-estimate.C:
			if err := p.estimate(); err != nil {
				p.log.Error("estimate rates", "error", err)
			}
		}
	}
}

// gather waits out the burst of reports that the first one begins.
func gather(ctx context.Context, events <-chan netlnk.Event) {
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			return
		case _, ok := <-events:
			if !ok {
				return
			}
		}
	}
}

// resolve brings the next hop of every server in service up to date.
func (p *Plane) resolve() {
	p.mu.Lock()
	defer p.mu.Unlock()
	find := p.finder()
	for key, s := range p.servers {
		if !s.present {
			continue
		}
		if hop := freshest(s.hop, find(key.addr.Addr())); !sameHop(hop, s.hop) {
			s.hop = hop
			if err := p.putServer(key, s); err != nil {
				p.log.Error("write next hop", "real_server", key.addr, "error", err)
			}
		}
	}
	p.repairPins()
	p.repairDevices()
}

// finder is find for many servers at once: it asks once for each address.
type finder func(netip.Addr) netlnk.NextHop

func (p *Plane) finder() finder {
	known := map[netip.Addr]netlnk.NextHop{}
	return func(addr netip.Addr) netlnk.NextHop {
		hop, ok := known[addr]
		if !ok {
			hop = p.find(addr)
			known[addr] = hop
		}
		return hop
	}
}

// find asks the kernel for the way to a server, and has it look for a neighbour
// that is not known or not confirmed: the answer comes as a report.
func (p *Plane) find(addr netip.Addr) netlnk.NextHop {
	hop, err := netlnk.Resolve(addr)
	if err == nil && !hop.Local {
		err = netlnk.Refresh(addr)
	}
	if err != nil {
		p.log.Debug("no way to real server", "real_server", addr, "error", err)
	}
	return hop
}

func sameHop(a, b netlnk.NextHop) bool {
	return a.Index == b.Index && a.Gateway == b.Gateway && a.Local == b.Local && a.Valid == b.Valid &&
		a.Source == b.Source && a.MTU == b.MTU &&
		string(a.Src) == string(b.Src) && string(a.Dst) == string(b.Dst)
}
