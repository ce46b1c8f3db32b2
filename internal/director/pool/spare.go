package pool

import (
	"fmt"

	"weir/internal/cluster"
	"weir/lvs"
)

// Spare servers (spare_tier) take part while fewer than so many servers of the tiers before
// theirs are in. A spare server that rests stays in the table with weight 0: the connections
// that it has go on. So the table has, at one stroke, the spare servers instead of those that
// went out, and again those instead of the spare ones.

// takesPart says which tiers do, by their numbers; nil is all of them. A server with weight 0
// is none of those that are in: it gets no new connections.
func (p *Pool) takesPart() (tiers []bool) {
	spares := p.conf.Beyond.Spares
	if len(spares) == 0 {
		return nil
	}
	in := make([]int, len(spares)+1)
	for _, m := range p.members {
		if m.in() && m.weight() > 0 {
			in[m.tier]++
		}
	}
	tiers, before := []bool{true}, in[0]
	for i, tier := range spares {
		tiers = append(tiers, before < tier.Fewer)
		before += in[i+1]
	}
	return tiers
}

// rests says whether the member is a spare server that does not take part.
func (m *member) rests(tiers []bool) bool { return tiers != nil && !tiers[m.tier] }

// staysIdle says whether a spare server that rests stays in the table. To dh and sh a server of
// weight 0 is one that refuses its part of the clients.
func (p *Pool) staysIdle() bool {
	return p.conf.Scheduler != lvs.SourceHash && p.conf.Scheduler != lvs.DestinationHash
}

// settleTiers notes which tiers take part from now on, to be told.
func (p *Pool) settleTiers() {
	now := p.takesPart()
	for i := 1; i < len(now); i++ {
		was := len(p.tiers) > i && p.tiers[i]
		if now[i] != was {
			p.told = append(p.told, cluster.SpareTierTurned(p.name, i, now[i], p.conf.Beyond.Spares[i-1].Fewer))
		}
	}
	p.tiers = now
}

// Tiers tells which tiers of spare servers have begun or ended to take part by this checker's
// last verdict, once.
func (c *Checker) Tiers() (events []cluster.Event) {
	if c.of == nil {
		return nil
	}
	events, c.of.pool.told = c.of.pool.told, nil
	return events
}

// spareText says that a spare server rests, and until when.
func (m *member) spareText() string {
	return fmt.Sprintf("spare: rests until fewer than %d servers of the tiers before it are in", m.pool.conf.Beyond.Spares[m.tier-1].Fewer)
}
