package sched

import "fmt"

// weightedRoundRobin lays out one cycle of net/netfilter/ipvs/ip_vs_wrr.c: a
// threshold falls from the largest weight in steps of the weights' greatest
// common divisor, and in each round the servers whose weight reaches it get one
// slot each, in list order. An edit sends the turn back to the list's head, at
// the threshold where it stood.
func weightedRoundRobin(list []Server, before *Layout, drawn uint64) (*Layout, error) {
	step, highest, sum := 0, 0, 0
	for _, s := range list {
		step, highest, sum = gcd(step, s.Weight), max(highest, s.Weight), sum+s.Weight
	}
	l := &Layout{threshold: startOf(list, before, drawn)}
	if sum == 0 {
		return l, nil
	}
	if n := sum / step; n > MaxSlots {
		return nil, fmt.Errorf("wrr: these weights need a cycle of %d turns, at most %d can be laid out: divide the weights", n, MaxSlots)
	}
	for threshold := l.threshold; len(l.Slots) < sum/step; {
		for _, s := range list {
			if s.Weight >= threshold {
				l.Slots = append(l.Slots, s.Index)
				l.thresholds = append(l.thresholds, threshold)
			}
		}
		if threshold -= step; threshold <= 0 {
			threshold = highest - (step - 1)
		}
	}
	return l, nil
}

// startOf is the threshold of the table's first round. A new service gets its
// servers one by one; one that has them already when it becomes wrr begins with
// the heaviest; after an edit the threshold stays where it was, as far as the
// weights allow.
func startOf(list []Server, before *Layout, drawn uint64) (threshold int) {
	if before == nil {
		for i := len(list) - 1; i >= 0; i-- {
			threshold = changed(threshold, list[i:])
		}
		return threshold
	}
	threshold = before.threshold
	if slot, ok := before.last(drawn); ok {
		threshold = before.thresholds[slot]
	}
	return changed(threshold, list)
}

// changed is ip_vs_wrr_dest_changed: where the threshold stands after an edit
// that leaves this list. The kernel's thresholds are one above a multiple of the
// step, and a weight reaches the next multiple exactly when it reaches that.
func changed(threshold int, list []Server) int {
	step, highest := 0, 0
	for _, s := range list {
		step, highest = gcd(step, s.Weight), max(highest, s.Weight)
	}
	step = max(step, 1)
	most := 0
	if highest > 0 {
		most = highest - (step - 1)
	}
	switch {
	case threshold > most || threshold == 0:
		return most
	case step > 1:
		return threshold/step*step + 1
	}
	return threshold
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
