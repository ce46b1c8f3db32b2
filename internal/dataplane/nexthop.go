package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/netlnk"
)

// refreshEvery is how often the ways to the servers are looked at even when
// nothing was heard.
const refreshEvery = 2 * time.Second

// settle gathers what the kernel reports in bursts.
const settle = 10 * time.Millisecond

// Run keeps the ways to the real servers fresh, sweeps the connections, estimates
// the rates, tells clients of errors in tunnels and repairs drift, until ctx ends.
func (p *Plane) Run(ctx context.Context) (err error) {
	if p.owned, err = p.own(); err != nil {
		return err
	}
	defer func() { p.owned.Close() }()
	// What ends with this context must not end before it says that it has.
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	events, err := netlnk.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch routes and neighbours: %w", err)
	}
	outer, err := listenOuter(p.log)
	if err != nil {
		return fmt.Errorf("listen for errors about tunnels: %w", err)
	}
	defer outer.close()
	others.Go(func() { p.renewTail(ctx) })
	others.Go(func() { p.sweepOn(ctx) })
	refresh, estimate := time.NewTimer(refreshEvery), time.NewTicker(estimateEvery)
	compare := time.NewTicker(p.compareEvery)
	defer compare.Stop()
	defer refresh.Stop()
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
			begun := time.Now()
			p.resolve()
			// With many servers it takes a while: no more than a twentieth of a CPU.
			refresh.Reset(max(refreshEvery, 20*time.Since(begun)))
		case <-compare.C:
			p.repairDrift()
		case e := <-outer.heard:
			p.tellOfError(outer, e)
		case <-estimate.C:
			if err := p.estimate(); err != nil {
				p.log.Error("estimate rates", "error", err)
			}
		}
	}
}

// tellOfError has the client hear of an error about its packet in a tunnel.
func (p *Plane) tellOfError(outer *outerErrors, e outerError) {
	answer, client := p.outerFailed(e)
	if answer == nil {
		return
	}
	if err := outer.send(answer, client); err != nil {
		p.log.Debug("tell a client of an error in its tunnel", "error", err)
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

// resolve brings the next hop of every server in service up to date. The kernel is
// asked without the lock: nobody waits for its answers.
func (p *Plane) resolve() {
	p.mu.Lock()
	present := make([]*server, 0, len(p.servers))
	for _, s := range p.servers {
		if s.present {
			present = append(present, s)
		}
	}
	p.mu.Unlock()
	find := p.finder()
	defer find.close()
	for _, s := range present {
		find.hop(s.key.addr.Addr())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.owns.devices)
	for _, s := range present {
		if !s.present {
			continue
		}
		if hop := freshest(s.hop, find.hop(s.key.addr.Addr())); !sameHop(hop, s.hop) {
			s.hop = hop
			if err := p.putServer(s.key, s); err != nil {
				p.log.Error("write next hop", "real_server", s.key.addr, "error", err)
			}
		}
	}
	p.repairPins()
	p.repairDevices()
}

// finder finds the ways to many servers at once: it asks once for each address.
type finder struct {
	plane    *Plane
	resolver *netlnk.Resolver // nil before it is needed
	known    map[netip.Addr]netlnk.NextHop
	missing  []*server // entered without a neighbour that is known
}

func (p *Plane) finder() *finder {
	return &finder{plane: p, known: map[netip.Addr]netlnk.NextHop{}}
}

func (f *finder) close() {
	if f.resolver != nil {
		f.resolver.Close()
	}
}

// neighbourPatience is how long Set waits for the neighbours of new servers, which
// answer within some milliseconds if they are there: clients would be sent to them
// in vain before that.
const neighbourPatience = 100 * time.Millisecond

// await gives the kernel the time to find the neighbours of servers that are about
// to get clients. Those that do not answer are left to Run.
func (p *Plane) await(missing []*server) {
	deadline := time.Now().Add(neighbourPatience)
	for len(missing) > 0 && time.Now().Before(deadline) {
		time.Sleep(neighbourPoll)
		find := p.finder()
		missing = slices.DeleteFunc(missing, func(s *server) bool {
			hop := find.hop(s.key.addr.Addr())
			if !hop.Valid {
				return false
			}
			s.hop = hop
			if err := p.putServer(s.key, s); err != nil {
				p.log.Error("write next hop", "real_server", s.key.addr, "error", err)
			}
			return true
		})
		find.close()
	}
}

// neighbourPoll is the time between two looks.
const neighbourPoll = 2 * time.Millisecond

// hop asks the kernel for the way to a server, and has it look for a neighbour
// that is not known or not confirmed: the answer comes as a report.
func (f *finder) hop(addr netip.Addr) netlnk.NextHop {
	hop, known := f.known[addr]
	if known {
		return hop
	}
	hop, err := f.ask(addr)
	if err != nil {
		f.plane.log.Debug("no way to real server", "real_server", addr, "error", err)
	}
	f.known[addr] = hop
	return hop
}

func (f *finder) ask(addr netip.Addr) (netlnk.NextHop, error) {
	if f.resolver == nil {
		resolver, err := netlnk.NewResolver()
		if err != nil {
			return netlnk.NextHop{}, err
		}
		f.resolver = resolver
	}
	hop, err := f.resolver.Resolve(addr)
	hop.MTU = f.plane.narrows.mtu(addr, hop.MTU)
	return hop, err
}

func sameHop(a, b netlnk.NextHop) bool {
	return a.Index == b.Index && a.Gateway == b.Gateway && a.Local == b.Local && a.Valid == b.Valid &&
		a.Source == b.Source && a.MTU == b.MTU &&
		string(a.Src) == string(b.Src) && string(a.Dst) == string(b.Dst)
}
