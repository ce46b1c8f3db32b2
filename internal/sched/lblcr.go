package sched

import (
	"slices"
	"time"
)

// leastLoaded is the hit of lblcr (ip_vs_lblcr_schedule,
// net/netfilter/ipvs/ip_vs_lblcr.c): of the destination's servers the least loaded one
// that may get a connection (ip_vs_dest_set_min). A set of several that has not changed
// for localityExpiry loses its most loaded server.
func (l *line) leastLoaded(servers []Load, now time.Duration) (index uint32, ok bool) {
	set := loadsOf(l.servers, servers)
	slices.Reverse(set) // wlc begins with the last
	index, ok = weightedLeastConnection(set)
	if len(l.servers) > 1 && now-l.modified > localityExpiry {
		if most, ok := mostLoaded(loadsOf(l.servers, servers)); ok {
			l.servers, l.modified = without(l.servers, most), now
		}
	}
	return index, ok
}

// add puts a server first in the destination's set, if it is not in it yet.
func (l *line) add(index uint32, now time.Duration) {
	if !slices.Contains(l.servers, index) {
		l.servers, l.modified = slices.Insert(l.servers, 0, index), now
	}
}

// mostLoaded is the server of the set with the largest overhead for its weight, also
// where it is full or gone (ip_vs_dest_set_max); ok is false where all have weight 0.
func mostLoaded(set []Load) (index uint32, ok bool) {
	var most Load
	for _, l := range set {
		if l.Weight > 0 && (!ok || most.overhead()*l.Weight < l.overhead()*most.Weight) {
			most, ok = l, true
		}
	}
	return most.Index, ok
}

func without(list []uint32, index uint32) []uint32 {
	i := slices.Index(list, index)
	return slices.Delete(slices.Clone(list), i, i+1)
}
