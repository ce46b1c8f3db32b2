package sched

// weightedOverflow is ovf (ip_vs_ovf_schedule, net/netfilter/ipvs/ip_vs_ovf.c): the
// server of the highest weight among those that have no more active connections than
// their weight says.
func weightedOverflow(servers []Load) (index uint32, ok bool) {
	below := func(l Load) bool { return l.usable() && l.Active <= l.Weight }
	return scan(servers, below, heavier)
}
