package sched

import "slices"

// roundRobin gives each server with a weight one turn. It goes on with the one
// after the server that had the last turn, or, where that one has gone, after the
// one that stood before it (net/netfilter/ipvs/ip_vs_rr.c). Its cycle is no longer
// than its list, and so is always laid out.
func roundRobin(list []Server, before *Layout, cursor uint64, _ int) (*Layout, error) {
	l := &Layout{stands: after(before, cursor, list)}
	var shares []Share
	begin := Turn{Level: 1}
	for i, s := range list {
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

// after is the place in the new list that follows the server which had the last
// turn in the old one.
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

// lastServed is the place in rr's list, counted from 1, of the server that had
// the last turn; it may be quiesced by now. Where no turn was taken of this cycle,
// be it that all servers were full, it is the one of the cycle before.
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
