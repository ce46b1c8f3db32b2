package sched

// PickTwo is the choice of twos for the two numbers that were drawn by lot, each
// from 0 up to and with the sum of the weights (Lots): of the two servers that
// they fall on the one with less to do for its weight, and the first one where
// they are equal (net/netfilter/ipvs/ip_vs_twos.c). Servers are in the order in
// which they were added; ok is false where there is none to be had.
func PickTwo(servers []Load, lot1, lot2 int) (index uint32, ok bool) {
	one, ok := fallsOn(servers, lot1)
	if !ok {
		return 0, false
	}
	if two, ok := fallsOn(servers, lot2); ok && two.Weight*one.overhead() > one.Weight*two.overhead() {
		return two.Index, true
	}
	return one.Index, true
}

// Lots is the sum of the weights of the servers that twos can choose from.
func Lots(servers []Load) (sum int) {
	for _, l := range servers {
		if !l.Full {
			sum += l.Weight
		}
	}
	return sum
}

// fallsOn is the first server at which the weights so far reach the number. As it
// may be 0, the first server's chance is one greater than its weight.
func fallsOn(servers []Load, lot int) (Load, bool) {
	for i := len(servers) - 1; i >= 0; i-- {
		l := servers[i]
		if l.Full || l.Weight == 0 {
			continue
		}
		if lot -= l.Weight; lot <= 0 {
			return l, true
		}
	}
	return Load{}, false
}
