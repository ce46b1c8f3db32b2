package pool

import (
	"net/netip"

	"weir/conf"
)

// Doubt has the real servers at an address that are in asked at once, and says how many
// have a check to be asked by. Until all their checks have answered, they get no new
// connections where other servers do; the connections that they have go on.
func (all Pools) Doubt(addr netip.Addr) (n int) {
	for _, p := range all {
		for _, m := range p.members {
			if m.server.Addr == addr && m.in() && m.probe() {
				n++
			}
		}
	}
	return n
}

// probe has the member's checks asked, and doubts it until they have answered. It says whether
// there are any that run.
func (m *member) probe() (some bool) {
	return m.eachToAsk(func(c *Checker) {
		c.doubted = true
		m.pool.services = nil
		c.runner.Probe()
	})
}

// eachToAsk calls do for the checks that can be asked at once, and says whether there is one.
func (m *member) eachToAsk(do func(*Checker)) (some bool) {
	for _, c := range m.checkers {
		if c.runner != nil && c.spec.Kind != conf.CheckAgent { // which does not ask whether it serves
			some = true
			do(c)
		}
	}
	return some
}

// doubted says whether a probe of the member has not been answered yet.
func (m *member) doubted() bool {
	for _, c := range m.checkers {
		if c.doubted {
			return true
		}
	}
	return false
}

// trusted says whether a member that nobody doubts gets new connections.
func (p *Pool) trusted() bool {
	tiers := p.takesPart()
	for _, m := range p.members {
		if m.in() && !m.rests(tiers) && !m.doubted() && m.weight() > 0 {
			return true
		}
	}
	return false
}
