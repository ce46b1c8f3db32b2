package sched

// shSlots is the size of the kernel's table (IP_VS_SH_TAB_SIZE).
const shSlots = 256

// sourceHash is sh: it gives each server in turn as many slots of the table as its
// weight, and a quiesced server one (ip_vs_sh_reassign, net/netfilter/ipvs/ip_vs_sh.c).
// The data plane takes the slot that the hash of the client's address selects, with the
// port where the service has SHPort; a client whose server is quiesced or full is
// refused, unless the service has SHFallback (hashed in bpf/).
func sourceHash(e edit) (*Layout, error) {
	l := &Layout{}
	for at, given := 0, 0; len(e.list) > 0 && len(l.Slots) < shSlots; {
		s := e.list[at%len(e.list)]
		l.Slots = append(l.Slots, s.Index)
		if given++; given >= s.Weight {
			at, given = at+1, 0
		}
	}
	return l, nil
}
