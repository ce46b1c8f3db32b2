package check

import (
	"context"
	"sync"
)

// Crew is the Runners that end together, at the latest when its context ends. It spares
// each of them a context of its own, and the goroutine that would wait for that.
type Crew struct {
	ctx context.Context
	// asking counts the Runners that have not ended yet.
	asking sync.WaitGroup
	turns  *agenda[*polling]
	dials  *dials

	mu    sync.Mutex
	first *polling // guarded by mu: a list of the Runners that have not ended
	ended bool     // guarded by mu
}

// NewCrew makes a crew without Runners, which ends with ctx.
func NewCrew(ctx context.Context) *Crew {
	c := &Crew{ctx: ctx, dials: newDials()}
	c.turns = newAgenda(earlier, c.begin)
	context.AfterFunc(ctx, c.end)
	return c
}

// begin begins the turns of Runners: connections all together, and other checks each by a
// goroutine of its own.
func (c *Crew) begin(due []*polling) {
	all := make([]*dial, 0, min(len(due), atOnce))
	for _, p := range due {
		d := p.dialled()
		if d == nil {
			go p.turn()
			continue
		}
		if all = append(all, d); len(all) == atOnce {
			c.dials.settle(all)
			all = all[:0]
		}
	}
	c.dials.settle(all)
}

// Wait returns when all Runners of the crew have ended, and the checks that they were making
// have returned.
func (c *Crew) Wait() { c.asking.Wait() }

// add takes a Runner in, and says whether the crew has ended already.
func (c *Crew) add(p *polling) (ended bool) {
	c.asking.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.next = c.first
	if p.next != nil {
		p.next.before = p
	}
	c.first = p
	return c.ended
}

// remove takes a Runner out that has ended.
func (c *Crew) remove(p *polling) {
	defer c.asking.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.before == nil {
		c.first = p.next
	} else {
		p.before.next = p.next
	}
	if p.next != nil {
		p.next.before = p.before
	}
	p.before, p.next = nil, nil
}

// end stops all Runners.
func (c *Crew) end() {
	var all []*polling
	c.mu.Lock()
	c.ended = true
	for p := c.first; p != nil; p = p.next {
		all = append(all, p)
	}
	c.mu.Unlock()
	for _, p := range all {
		p.stop()
	}
	c.turns.end()
	c.dials.end()
}
