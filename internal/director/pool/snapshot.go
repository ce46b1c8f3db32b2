package pool

import (
	"net/netip"

	"weir/internal/cluster"
	"weir/lvs"
)

// Reading is the services of pools at one moment, without their texts and counters. It
// shares nothing with the pools that changes.
type Reading struct {
	services []cluster.Service
	rest     []unfinished
}

// Counts is what the data plane has counted.
type Counts struct {
	Services map[lvs.ServiceKey]cluster.Traffic
	Servers  map[lvs.ServiceKey]map[netip.AddrPort]ServerCounts
}

// ServerCounts is what the data plane has counted of a real server in a service.
type ServerCounts struct {
	Active, Inactive, Persistent int
	Traffic                      cluster.Traffic
}

// unfinished is what a service of a reading still lacks.
type unfinished struct {
	key      lvs.ServiceKey
	checkers [][]*Checker // of each server
}

// Read takes a reading; it is quick, for the loop's goroutine.
func (all Pools) Read() Reading {
	r := Reading{make([]cluster.Service, 0, len(all)), make([]unfinished, 0, len(all))}
	for _, p := range all {
		for _, key := range p.keys {
			service, more := p.read(key)
			r.services, r.rest = append(r.services, service), append(r.rest, more)
		}
	}
	return r
}

// read is one service of the pool.
func (p *Pool) read(key lvs.ServiceKey) (cluster.Service, unfinished) {
	s := cluster.Service{Group: p.group, Scheduler: p.conf.Scheduler, Servers: make([]cluster.Server, 0, len(p.members))}
	u := unfinished{key: key, checkers: make([][]*Checker, 0, len(p.members))}
	tiers := p.takesPart()
	for _, m := range p.members {
		if !fits(m.server, key) {
			continue
		}
		server := cluster.Server{
			Addr: as(m.server, key).AddrPort(), Method: m.server.Method.String(), Weight: m.weight(),
			Up: true, Since: m.since, Why: m.why(),
		}
		if m.in() && m.rests(tiers) {
			server.Weight, server.Why = 0, m.spareText()
		}
		if reason := m.reason(); reason != nil {
			server.Up, server.Reason = false, reason.Error()
		}
		s.Servers, u.checkers = append(s.Servers, server), append(u.checkers, m.checkers)
	}
	if sorry, has := p.sorry(); has && !p.quorum.up && fits(sorry, key) {
		s.Servers = append(s.Servers, cluster.Server{
			Addr: as(sorry, key).AddrPort(), Method: sorry.Method.String(), Weight: sorry.Weight, Up: true, Since: p.quorum.since,
		})
		u.checkers = append(u.checkers, nil)
	}
	return s, u
}

// Finish adds texts and counters. Any goroutine may call it: what a checker asks, and
// which checkers a running member has, does not change.
func (r Reading) Finish(counts Counts) []cluster.Service {
	for i, u := range r.rest {
		s, servers := &r.services[i], counts.Servers[u.key]
		s.Name, s.Traffic = u.key.String(), counts.Services[u.key]
		for j := range s.Servers {
			server := &s.Servers[j]
			for _, c := range u.checkers[j] {
				server.Checkers = append(server.Checkers, c.String())
			}
			n := servers[server.Addr]
			server.Active, server.Inactive, server.Persistent, server.Traffic = n.Active, n.Inactive, n.Persistent, n.Traffic
		}
	}
	return r.services
}
