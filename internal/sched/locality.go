package sched

import (
	"net/netip"
	"slices"
	"time"
)

// localityExpiry is after how long without a change a set of lblcr loses a server, and
// after how long without use a destination is forgotten (DEFAULT_EXPIRATION,
// net/netfilter/ipvs/ip_vs_lblcr.c).
const localityExpiry = 24 * time.Hour

// Cache is the plain model of lblc and lblcr: which servers each destination was given.
// Tests compare the data plane's choice with it. The zero Cache is empty.
type Cache struct {
	// Replicated is lblcr: a destination may have several servers.
	Replicated bool
	lines      map[netip.Addr]*line
}

// line is what the cache holds of a destination.
type line struct {
	servers  []uint32 // by Server.Index, the one added last first; lblc has exactly one
	modified time.Duration
}

// Pick is the server that a connection to this destination gets, for servers in the
// order in which they were added. Now is the time since any fixed moment. Servers that
// have left the service but still stand in the cache are given too, as Gone: one that
// comes back gets its destinations again. ok is false where no server may get a
// connection.
//
// The destination keeps its server unless that one is overloaded. Otherwise wlc finds
// another, which replaces it (lblc) or joins it (lblcr).
func (c *Cache) Pick(to netip.Addr, servers []Load, now time.Duration) (index uint32, ok bool) {
	if c.lines == nil {
		c.lines = map[netip.Addr]*line{}
	}
	l := c.lines[to]
	if l != nil {
		hit := l.single
		if c.Replicated {
			hit = l.leastLoaded
		}
		if index, ok = hit(servers, now); ok && !overloaded(index, servers) {
			return index, true
		}
	}
	if index, ok = weightedLeastConnection(servers); !ok {
		return 0, false
	}
	switch {
	case l == nil:
		c.lines[to] = &line{servers: []uint32{index}, modified: now}
	case c.Replicated:
		l.add(index, now)
	default:
		l.servers[0] = index
	}
	return index, true
}

// overloaded says whether a server has more active connections than its weight while
// some server of the service has fewer than half of its own weight (is_overloaded in
// ip_vs_lblc.c and ip_vs_lblcr.c).
func overloaded(index uint32, servers []Load) bool {
	for _, l := range servers {
		if l.Index == index && l.Active <= l.Weight {
			return false
		}
	}
	return slices.ContainsFunc(servers, func(l Load) bool { return !l.Gone && 2*l.Active < l.Weight })
}

// loadsOf are the loads of the servers with these indexes, in the order of the indexes.
func loadsOf(indexes []uint32, servers []Load) (set []Load) {
	for _, index := range indexes {
		if i := slices.IndexFunc(servers, func(l Load) bool { return l.Index == index }); i >= 0 {
			set = append(set, servers[i])
		}
	}
	return set
}
