package sched

// roundRobin gives each server with a weight one slot
// (net/netfilter/ipvs/ip_vs_rr.c).
func roundRobin(list []Server) ([]uint32, error) {
	var slots []uint32
	for _, s := range list {
		if s.Weight > 0 {
			slots = append(slots, s.Index)
		}
	}
	return slots, nil
}
