package sched

// neverQueue is nq (ip_vs_nq_schedule, net/netfilter/ipvs/ip_vs_nq.c): the first server
// of the list without an active connection, whatever its weight; where each has one,
// the server of sed.
func neverQueue(servers []Load) (index uint32, ok bool) {
	idle := func(l Load) bool { return l.usable() && l.Active == 0 }
	if index, ok = scan(servers, idle, func(_, _ Load) bool { return false }); ok {
		return index, true
	}
	return shortestExpectedDelay(servers)
}
