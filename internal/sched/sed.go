package sched

// shortestExpectedDelay is sed (ip_vs_sed_schedule, net/netfilter/ipvs/ip_vs_sed.c):
// the server with the fewest active connections for its weight, once it has the new
// one. Inactive connections do not count.
func shortestExpectedDelay(servers []Load) (index uint32, ok bool) {
	return scan(servers, Load.usable, func(l, best Load) bool {
		return (best.Active+1)*l.Weight > (l.Active+1)*best.Weight
	})
}
