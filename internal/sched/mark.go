package sched

import "slices"

// Ring is the plain model of rr: where it stands in its list, walking through it
// step by step as the kernel does (net/netfilter/ipvs/ip_vs_rr.c).
type Ring struct {
	list []Server
	at   int // who had the last turn, in list; -1: its head
}

// Changed is an edit that leaves these servers, in the order in which they were
// added. Where the last one served has gone, the one before it is it now.
func (r *Ring) Changed(servers []Server) {
	old := r.list
	if old == nil {
		r.at = -1
	}
	r.list = newestFirst(servers)
	for at := r.at; ; at-- {
		if at < 0 {
			r.at = -1
			return
		}
		i := slices.IndexFunc(r.list, func(s Server) bool { return s.Index == old[at].Index })
		if i >= 0 {
			r.at = i
			return
		}
	}
}

// Next is the server that gets the next connection; ok is false where none is to
// be had. A full one is passed over.
func (r *Ring) Next(full func(server uint32) bool) (server uint32, ok bool) {
	for i := range r.list {
		at := (r.at + 1 + i) % len(r.list)
		if s := r.list[at]; s.Weight > 0 && !full(s.Index) {
			r.at = at
			return s.Index, true
		}
	}
	return 0, false
}

// Mark is the plain model of wrr: where it stands in its list, walking through it
// step by step as the kernel does (struct ip_vs_wrr_mark and ip_vs_wrr_schedule,
// net/netfilter/ipvs/ip_vs_wrr.c).
type Mark struct {
	list       []Server
	at         int // who had the last turn, in list; -1: its head
	weight     int // that a server needs in this round
	most, step int
}

// Changed is an edit that leaves these servers, in the order in which they were
// added.
func (m *Mark) Changed(servers []Server) {
	m.list = newestFirst(servers)
	m.at = -1
	m.step, m.most = stepOf(m.list)
	m.weight = changed(m.weight, m.list)
}

// Next is the server that gets the next connection; ok is false where none is to
// be had. A full one is passed over.
func (m *Mark) Next(full func(server uint32) bool) (server uint32, ok bool) {
	if m.most == 0 {
		return 0, false
	}
	last, stop := m.at, -1
	lastRound, wrapped := false, false
	for {
		for m.at++; m.at < len(m.list); m.at++ {
			s := m.list[m.at]
			if !full(s.Index) && s.Weight >= m.weight {
				return s.Index, true
			}
			if m.at == stop {
				return 0, false
			}
		}
		m.at = -1
		if m.weight -= m.step; m.weight <= 0 {
			m.weight = m.most
			if lastRound || last == -1 {
				return 0, false
			}
			wrapped = true
		}
		if lastRound = m.weight <= m.step; lastRound && wrapped {
			stop = last
		}
	}
}
