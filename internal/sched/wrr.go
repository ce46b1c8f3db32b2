package sched

import "fmt"

// weightedRoundRobin lays out one cycle of net/netfilter/ipvs/ip_vs_wrr.c: a
// threshold falls from the largest weight in steps of the weights' greatest
// common divisor, and in each round the servers whose weight reaches it get
// one slot each, in list order.
func weightedRoundRobin(list []Server) ([]uint32, error) {
	step, highest, sum := 0, 0, 0
	for _, s := range list {
		step, highest, sum = gcd(step, s.Weight), max(highest, s.Weight), sum+s.Weight
	}
	if sum == 0 {
		return nil, nil
	}
	if n := sum / step; n > MaxSlots {
		return nil, fmt.Errorf("wrr: these weights need a cycle of %d turns, at most %d can be laid out: divide the weights", n, MaxSlots)
	}
	slots := make([]uint32, 0, sum/step)
	first := firstThreshold(list)
	for threshold := first; len(slots) < cap(slots); {
		for _, s := range list {
			if s.Weight >= threshold {
				slots = append(slots, s.Index)
			}
		}
		if threshold -= step; threshold <= 0 {
			threshold = highest
		}
	}
	return slots, nil
}

// firstThreshold is where a service's first round stands whose servers were
// added one by one, as ip_vs_wrr_dest_changed leaves it.
func firstThreshold(list []Server) int {
	threshold, step, highest := 0, 0, 0
	for i := len(list) - 1; i >= 0; i-- {
		w := list[i].Weight
		step, highest = gcd(step, w), max(highest, w)
		most := highest
		if step > 0 {
			most -= step - 1
		}
		switch {
		case threshold > most || threshold == 0:
			threshold = most
		case step > 1:
			threshold = threshold/step*step + 1
		}
	}
	// The kernel's thresholds are one above a multiple of the step; servers
	// reach the next multiple exactly when they reach that.
	if step > 0 {
		threshold = (threshold + step - 1) / step * step
	}
	return threshold
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
