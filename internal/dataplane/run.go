package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"weir/internal/beat"
	"weir/internal/dataplane/icmp"
	"weir/internal/dataplane/nexthop"
	"weir/internal/dataplane/stats"
	"weir/internal/netlnk"
)

// Even when nothing was heard, neighbours are confirmed each refreshEvery, or each searchEvery
// where the MAC address of one is not known; and the kernel is asked for the next hops to all
// servers each resolveEvery.
const (
	refreshEvery = 10 * time.Second
	searchEvery  = 2 * time.Second
	resolveEvery = time.Minute
)

// The kernel is asked about many servers for no more than this part of a CPU's time: resolveShare
// where it has reported a change, unaskedShare where it has not.
const resolveShare, unaskedShare = 20, 100

// renewAfter is how many comparisons after the start the program for local traffic
// that an earlier process left is replaced.
const renewAfter = 10

// settle is how long reports of the kernel are gathered, since they come in bursts.
const settle = 10 * time.Millisecond

// Run keeps the next hops to the real servers fresh, sweeps the connections, estimates
// the rates, tells clients of errors in tunnels and repairs drift, until ctx ends.
func (p *Plane) Run(ctx context.Context) error {
	if err := p.pins.Own(); err != nil {
		return err
	}
	defer p.pins.Disown()
	// The tasks that this context ends must not end before it is done.
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	events, err := netlnk.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch routes and neighbours: %w", err)
	}
	outer, err := icmp.Listen(p.log)
	if err != nil {
		return fmt.Errorf("listen for errors about tunnels: %w", err)
	}
	defer outer.Close()
	others.Go(func() { p.devices.Renew(ctx, renewAfter*p.compareEvery) })
	others.Go(func() { p.conns.Run(ctx) })
	refresh, estimate := time.NewTimer(searchEvery), time.NewTimer(beat.Until(stats.EstimateEvery))
	compare, compared := time.NewTimer(beat.Until(p.compareEvery)), 0
	defer compare.Stop()
	defer refresh.Stop()
	defer estimate.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events:
			if !ok {
				if ctx.Err() != nil {
					return nil
				}
				return errors.New("watch routes and neighbours: the kernel's reports ended")
			}
			if p.concerns(e) {
				gather(ctx, events)
				refresh.Reset(p.resolve())
			}
		case <-refresh.C:
			refresh.Reset(p.confirm())
		case <-compare.C:
			if compared++; compared%contentsAfter == 0 {
				p.repairContents()
			} else {
				p.repairSeen()
			}
			p.followRules()
			compare.Reset(beat.Until(p.compareEvery))
		case e := <-outer.Heard:
			p.tellOfError(outer, e)
		case <-estimate.C:
			if err := p.services.Estimate(); err != nil {
				p.log.Error("estimate rates", "error", err)
			}
			estimate.Reset(beat.Until(stats.EstimateEvery))
		}
	}
}

// tellOfError sends the client an error about its packet in a tunnel.
func (p *Plane) tellOfError(outer *icmp.Listener, e icmp.OuterError) {
	answer, client := p.outerFailed(e)
	if answer == nil {
		return
	}
	if err := outer.Send(answer, client); err != nil {
		p.log.Debug("tell a client of an error in its tunnel", "error", err)
	}
}

// outerFailed takes an error about a tunnel in: it returns the error that is to be
// sent to the client, as an IP packet, or nil. One that says how many bytes a link on
// the path takes limits the path's MTU.
func (p *Plane) outerFailed(e icmp.OuterError) (answer []byte, client netip.Addr) {
	key, ok := e.InnerKey()
	if !ok {
		return nil, client
	}
	mtu, ok := p.services.TunnelMTU(key, e.From, e.To)
	if !ok {
		return nil, client
	}
	if e.TooBig() {
		if limit, news := p.paths.Note(e.To, e.MTU); news {
			if err := p.services.LimitMTU(e.To, limit); err != nil {
				p.log.Error("limit the path MTU", "real_server", e.To, "error", err)
			}
			mtu = min(mtu, limit)
		}
		if e.MayFragment() { // the client expects no word
			return nil, client
		}
	}
	return e.About(mtu - e.OuterBytes()), key.From.Netip()
}

// gather waits until a burst of reports is over.
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

// concerns says whether next hops may have changed by what the kernel reports. Neighbours
// come and go all the time.
func (p *Plane) concerns(e netlnk.Event) bool {
	return e.Kind != netlnk.NeighbourChanged || p.services.Concerns(e.Index, e.Neighbour) || len(p.directors.List()) > 0
}

// resolve brings the next hop of every server in service up to date, and returns when to do
// so again if nothing is heard. The kernel is asked without a lock: nobody waits for its
// answers.
func (p *Plane) resolve() (again time.Duration) {
	begun, again := time.Now(), refreshEvery
	p.resolved.changes = p.services.Changes()
	find := nexthop.NewFinder(p.log, &p.paths, &p.silent)
	defer find.Close()
	for _, addr := range p.services.Addrs() {
		if hop := find.Find(addr); !hop.Valid && !hop.Local {
			again = searchEvery
		}
	}
	if err := p.services.SetHops(find); err != nil {
		p.log.Error("write next hops", "error", err)
	}
	if err := p.followDirectors(p.directors.Refresh()); err != nil {
		p.log.Error("follow other directors", "error", err)
	}
	if rest, ok := p.directors.PutOff(); ok {
		again = min(again, rest)
	}
	p.repairing.Lock()
	defer p.repairing.Unlock()
	p.repairPins()
	p.devices.Repair(p.services.Exits(), true)
	p.resolved.at, p.resolved.took = time.Now(), time.Since(begun)
	again = max(again, resolveShare*p.resolved.took)
	if rest, ok := p.devices.PutOff(); ok {
		again = min(again, rest)
	}
	return again
}

// confirm has the kernel confirm the neighbours that packets are sent to, and look for those
// that it does not know: what it finds it reports. Where servers have changed, devices were not
// looked for, or the last look was long ago, it finds all next hops anew. It returns when to do
// so again.
func (p *Plane) confirm() (again time.Duration) {
	begun := time.Now()
	_, putOff := p.devices.PutOff()
	if putOff || p.resolved.changes != p.services.Changes() || begun.Sub(p.resolved.at) >= max(resolveEvery, unaskedShare*p.resolved.took) {
		return p.resolve()
	}
	neighbours, missing := p.services.Neighbours()
	if again = refreshEvery; missing {
		again = searchEvery
	}
	news, err := netlnk.RefreshAll(neighbours)
	if err != nil {
		p.log.Debug("confirm the neighbours of real servers", "error", err)
	}
	if news {
		return p.resolve()
	}
	if err := p.followDirectors(p.directors.Refresh()); err != nil {
		p.log.Error("follow other directors", "error", err)
	}
	if rest, ok := p.directors.PutOff(); ok {
		again = min(again, rest)
	}
	return max(again, resolveShare*time.Since(begun))
}
