package sched

// PickTwo is the plain model of twos (ip_vs_twos_schedule,
// net/netfilter/ipvs/ip_vs_twos.c), which draws two servers at random by weight and
// takes the one with the smaller overhead for its weight, the first one where they are
// equal. The two random numbers are given, each from 0 to Lots(servers) inclusive, so
// that tests can work out the odds. Servers are in the order in which they were added;
// ok is false where no server may get a connection.
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

// Lots is the largest random number that PickTwo takes: the sum of the weights of the
// servers that may get a connection.
func Lots(servers []Load) (sum int) {
	for _, l := range servers {
		if !l.Full {
			sum += l.Weight
		}
	}
	return sum
}

// fallsOn is the first server of IPVS's list at which the sum of the weights so far
// reaches the random number. As that may be 0, the first server's chance is one greater
// than its weight.
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
