package sched

// dhSlots is the size of the kernel's table (IP_VS_DH_TAB_SIZE).
const dhSlots = 256

// destinationHash is dh: it gives the servers the slots of the table in turn, whatever
// their weights (ip_vs_dh_reassign, net/netfilter/ipvs/ip_vs_dh.c). The data plane takes
// the slot that the hash of the destination address selects (hashed in bpf/).
func destinationHash(e edit) (*Layout, error) {
	l := &Layout{}
	for i := range dhSlots {
		if len(e.list) > 0 {
			l.Slots = append(l.Slots, e.list[i%len(e.list)].Index)
		}
	}
	return l, nil
}
