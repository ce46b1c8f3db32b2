package sched

import "weir/lvs"

// Load is what a scheduler that scans knows of a server.
type Load struct {
	Server
	Active, Inactive int
	Full             bool // reached its upper threshold
	Gone             bool // has left the service, and is only remembered
}

// Pick is the server that a scheduler which scans gives the next connection, for
// servers in the order in which they were added; ok is false where there is none.
// Between equal servers the earlier one in IPVS's list stays.
func Pick(s lvs.Scheduler, servers []Load) (index uint32, ok bool) {
	var best Load
	for i := len(servers) - 1; i >= 0; i-- {
		l := servers[i]
		if l.Weight == 0 || l.Full || l.Gone || s == lvs.WeightedOverflow && l.Active > l.Weight {
			continue
		}
		if s == lvs.NeverQueue && l.Active == 0 {
			return l.Index, true
		}
		if !ok || better(s, l, best) {
			best, ok = l, true
		}
	}
	return best.Index, ok
}

// better compares two servers as net/netfilter/ipvs/ip_vs_lc.c, ip_vs_wlc.c,
// ip_vs_sed.c, ip_vs_nq.c, ip_vs_fo.c and ip_vs_ovf.c do.
func better(s lvs.Scheduler, l, best Load) bool {
	switch s {
	case lvs.LeastConnection:
		return l.overhead() < best.overhead()
	case lvs.WeightedLeastConnection:
		return best.overhead()*l.Weight > l.overhead()*best.Weight
	case lvs.ShortestExpectedDelay, lvs.NeverQueue:
		return (best.Active+1)*l.Weight > (l.Active+1)*best.Weight
	default: // fo, ovf: the highest weight
		return l.Weight > best.Weight
	}
}

// overhead weighs an active connection like 257 inactive ones: 256 times the
// active and all (ip_vs_dest_conn_overhead, include/net/ip_vs.h, as of 2026; 256 in
// earlier kernels).
func (l Load) overhead() int { return l.Active*257 + l.Inactive }
