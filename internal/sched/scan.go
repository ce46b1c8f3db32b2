package sched

// Load is what a scan scheduler knows of a server.
type Load struct {
	Server
	Active, Inactive int  // connections
	Full             bool // it reached its upper threshold and is not below the lower one again
	Gone             bool // it has left the service, and only a cache still names it
}

// overhead is the load that lc, wlc, lblc, lblcr and twos compare: an active
// connection weighs as much as 257 inactive ones, 256 times the active and all
// (ip_vs_dest_conn_overhead, include/net/ip_vs.h, as of 2026; 256 in earlier kernels).
func (l Load) overhead() int { return l.Active*257 + l.Inactive }

// usable says whether a server may get a new connection.
func (l Load) usable() bool { return l.Weight > 0 && !l.Full && !l.Gone }

// scan walks through IPVS's list (the server added last comes first) and returns the
// server that is better than all others that may get the connection. Of two servers
// of which neither is better, the one that comes first in the list stays.
func scan(servers []Load, may func(Load) bool, better func(l, best Load) bool) (index uint32, ok bool) {
	var best Load
	for i := len(servers) - 1; i >= 0; i-- {
		if l := servers[i]; may(l) && (!ok || better(l, best)) {
			best, ok = l, true
		}
	}
	return best.Index, ok
}
