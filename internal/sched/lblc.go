package sched

import "time"

// single is the hit of lblc (ip_vs_lblc_schedule, net/netfilter/ipvs/ip_vs_lblc.c): the
// destination's one server. It is not taken while it is quiesced or gone; that it is
// full does not matter, since thresholds count only for servers that are new to a
// destination.
func (l *line) single(servers []Load, _ time.Duration) (index uint32, ok bool) {
	set := loadsOf(l.servers, servers)
	return l.servers[0], len(set) > 0 && set[0].Weight > 0 && !set[0].Gone
}
