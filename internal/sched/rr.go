package sched

import "slices"

// roundRobin gives each server with a weight one slot. It goes on with the one
// after the server that had the last turn, or, where that one has gone, after the
// one that stood before it (net/netfilter/ipvs/ip_vs_rr.c).
func roundRobin(list []Server, before *Layout, drawn uint64) (*Layout, error) {
	first := 0
	if slot, ok := before.last(drawn); ok {
		first = after(before.list, list, before.Slots[slot])
	}
	l := &Layout{}
	for i := range list {
		if s := list[(first+i)%len(list)]; s.Weight > 0 {
			l.Slots = append(l.Slots, s.Index)
		}
	}
	return l, nil
}

// after is the place in the new list that follows a server of the old one.
func after(old, list []Server, server uint32) int {
	at := slices.IndexFunc(old, func(s Server) bool { return s.Index == server })
	for ; at >= 0; at-- {
		i := slices.IndexFunc(list, func(s Server) bool { return s.Index == old[at].Index })
		if i >= 0 {
			return i + 1
		}
	}
	return 0
}
