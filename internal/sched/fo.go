package sched

// weightedFailover is fo (ip_vs_fo_schedule, net/netfilter/ipvs/ip_vs_fo.c): the server
// of the highest weight, whatever it has to do. The others get connections only when
// that one is full, quiesced or gone.
func weightedFailover(servers []Load) (index uint32, ok bool) {
	return scan(servers, Load.usable, heavier)
}

// heavier compares by weight alone.
func heavier(l, best Load) bool { return l.Weight > best.Weight }
