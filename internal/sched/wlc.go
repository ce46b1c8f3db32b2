package sched

// weightedLeastConnection is wlc (ip_vs_wlc_schedule, net/netfilter/ipvs/ip_vs_wlc.c):
// the server with the smallest overhead for its weight. The quotients are compared by
// multiplying crosswise, so that nothing is rounded.
func weightedLeastConnection(servers []Load) (index uint32, ok bool) {
	return scan(servers, Load.usable, func(l, best Load) bool {
		return best.overhead()*l.Weight > l.overhead()*best.Weight
	})
}
