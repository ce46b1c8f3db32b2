package sched

// leastConnection is lc (ip_vs_lc_schedule, net/netfilter/ipvs/ip_vs_lc.c): the server
// with the smallest overhead, whatever its weight.
func leastConnection(servers []Load) (index uint32, ok bool) {
	return scan(servers, Load.usable, func(l, best Load) bool { return l.overhead() < best.overhead() })
}
