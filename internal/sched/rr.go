package sched

import "slices"

// roundRobin is rr (net/netfilter/ipvs/ip_vs_rr.c): each server with a weight gets one
// turn. After an edit it goes on behind the server that had the last turn, or, where
// that one was removed, behind the nearest one before it that is still there. Its cycle
// is no longer than its list, and so it is always laid out.
func roundRobin(e edit) (*Layout, error) {
	l := &Layout{stands: after(e.before, e.cursor, e.list)}
	var shares []Share
	begin := Turn{Level: 1}
	for i, s := range e.list {
		if s.Weight == 0 {
			continue
		}
		shares = append(shares, Share{s.Index, 1})
		if i < l.stands {
			begin.Place++
		}
	}
	l.Cycle = newCycle(shares, begin, MaxSlots)
	return l, nil
}

// after is the place in the new list, counted from 1, of the server behind which rr
// goes on; 0 is the head of the list.
func after(before *Layout, cursor uint64, list []Server) int {
	if before == nil {
		return 0
	}
	for at := before.lastServed(cursor); at > 0; at-- {
		old := before.list[at-1].Index
		if i := slices.IndexFunc(list, func(s Server) bool { return s.Index == old }); i >= 0 {
			return i + 1
		}
	}
	return 0
}

// lastServed is the place in rr's list, counted from 1, of the server that had the
// last turn, which may be quiesced by now. Where no turn of this cycle was taken,
// because no connection came or all servers were full, it is the place that the cycle
// before left.
func (l *Layout) lastServed(cursor uint64) int {
	if l.Cycle == nil || cursor == l.Cycle.First || cursor == l.Cycle.top() {
		return l.stands
	}
	place := l.Cycle.turn(cursor).Place
	if place == 0 {
		return 0
	}
	server := l.Cycle.Shares[place-1].Server
	return 1 + slices.IndexFunc(l.list, func(s Server) bool { return s.Index == server })
}

// Ring is the plain model of rr, which walks through the list step by step as
// ip_vs_rr_schedule does. Tests compare the laid-out cycles and the data plane with it.
type Ring struct {
	list []Server
	at   int // the place in list of the server that had the last turn; -1: the head
}

// Changed tells the model of an edit that leaves these servers, in the order in which
// they were added. Where the server that had the last turn was removed, the one before
// it in the list takes its place (ip_vs_rr_del_dest).
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

// Next is the server that gets the next connection. Full servers are passed over; ok
// is false where no server may get a connection.
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
