package sched

import (
	"net/netip"
	"slices"
	"time"

	"weir/lvs"
)

// localityExpiry is how long a set of lblcr stays as large as it is, and any line
// of the cache unused (DEFAULT_EXPIRATION, net/netfilter/ipvs/ip_vs_lblcr.c).
const localityExpiry = 24 * time.Hour

// Cache is the plain model of lblc and lblcr: which servers each destination was
// given.
type Cache struct {
	// Replicated is lblcr: a destination may have several servers.
	Replicated bool
	lines      map[netip.Addr]*line
}

// line is a destination's servers, the latest first.
type line struct {
	servers  []uint32
	modified time.Duration
}

// Pick is the server that a connection to this destination gets at this time, for
// servers in the order in which they were added; ok is false where there is none.
// A line's server that is Gone goes on when it comes back.
func (c *Cache) Pick(to netip.Addr, servers []Load, now time.Duration) (index uint32, ok bool) {
	if c.lines == nil {
		c.lines = map[netip.Addr]*line{}
	}
	l := c.lines[to]
	if l != nil {
		if index, ok = c.known(l, servers, now); ok && !overloaded(index, servers) {
			return index, true
		}
	}
	if index, ok = Pick(lvs.WeightedLeastConnection, servers); !ok {
		return 0, false
	}
	switch {
	case l == nil:
		c.lines[to] = &line{servers: []uint32{index}, modified: now}
	case !c.Replicated:
		l.servers[0] = index
	case !slices.Contains(l.servers, index):
		l.servers, l.modified = slices.Insert(l.servers, 0, index), now
	}
	return index, true
}

// known is the line's server: lblc's, full or not, or the least loaded of lblcr's.
// A set that has not changed for long loses its most loaded server.
func (c *Cache) known(l *line, servers []Load, now time.Duration) (index uint32, ok bool) {
	set := pickFrom(l.servers, servers)
	if !c.Replicated {
		return l.servers[0], len(set) > 0 && set[0].Weight > 0 && !set[0].Gone
	}
	slices.Reverse(set) // Pick begins with the last
	index, ok = Pick(lvs.WeightedLeastConnection, set)
	if len(l.servers) > 1 && now-l.modified > localityExpiry {
		if most, ok := mostLoaded(pickFrom(l.servers, servers)); ok {
			l.servers, l.modified = without(l.servers, most), now
		}
	}
	return index, ok
}

// pickFrom are the servers with these indexes, in their order.
func pickFrom(indexes []uint32, servers []Load) (set []Load) {
	for _, index := range indexes {
		if i := slices.IndexFunc(servers, func(l Load) bool { return l.Index == index }); i >= 0 {
			set = append(set, servers[i])
		}
	}
	return set
}

func without(list []uint32, index uint32) []uint32 {
	i := slices.Index(list, index)
	return slices.Delete(slices.Clone(list), i, i+1)
}

// mostLoaded is the server with most to do for its weight, be it there or gone
// (ip_vs_dest_set_max).
func mostLoaded(set []Load) (index uint32, ok bool) {
	var most Load
	for _, l := range set {
		if l.Weight > 0 && (!ok || most.overhead()*l.Weight < l.overhead()*most.Weight) {
			most, ok = l, true
		}
	}
	return most.Index, ok
}

// overloaded: it has more active connections than its weight, while some server
// has fewer than half of its own (is_overloaded).
func overloaded(index uint32, servers []Load) bool {
	for _, l := range servers {
		if l.Index == index && l.Active <= l.Weight {
			return false
		}
	}
	return slices.ContainsFunc(servers, func(l Load) bool { return !l.Gone && 2*l.Active < l.Weight })
}
