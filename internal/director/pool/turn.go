package pool

import (
	"weir/internal/check"
	"weir/internal/cluster"
)

// Turned is what there is to tell of a check by itself where Judge has nothing to tell; it is
// asked before Judge. Nil is nothing.
func (c *Checker) Turned(r check.Verdict) *cluster.Event {
	m, first := c.of, c.fresh
	if c.fresh = false; m == nil {
		return nil // a reload has taken the check away
	}
	var e cluster.Event
	switch {
	case first && r.Reason != nil:
		e = cluster.FirstFailed(m.pool.name, m.server.AddrPort(), string(c.spec.Kind), r.Reason)
	case (c.down == nil) == (r.Reason == nil):
		return nil
	default:
		e = cluster.CheckTurned(m.pool.name, m.server.AddrPort(), string(c.spec.Kind), r.Reason)
	}
	return &e
}
