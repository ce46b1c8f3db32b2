package sched

// hashSlots is the size of the kernel's table for dh and sh (IP_VS_DH_TAB_SIZE and
// IP_VS_SH_TAB_SIZE).
const hashSlots = 256

// destinationHash gives the servers the table's slots in turn, whatever their
// weights (ip_vs_dh_reassign, net/netfilter/ipvs/ip_vs_dh.c).
func destinationHash(list []Server) (*Layout, error) {
	l := &Layout{}
	for i := range hashSlots {
		if len(list) > 0 {
			l.Slots = append(l.Slots, list[i%len(list)].Index)
		}
	}
	return l, nil
}

// sourceHash gives each server in turn as many slots as its weight says, and one
// to a quiesced server, whose clients are refused (ip_vs_sh_reassign,
// net/netfilter/ipvs/ip_vs_sh.c).
func sourceHash(list []Server) (*Layout, error) {
	l := &Layout{}
	for at, given := 0, 0; len(list) > 0 && len(l.Slots) < hashSlots; {
		s := list[at%len(list)]
		l.Slots = append(l.Slots, s.Index)
		if given++; given >= s.Weight {
			at, given = at+1, 0
		}
	}
	return l, nil
}
