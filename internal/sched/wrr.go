package sched

// weightedRoundRobin is net/netfilter/ipvs/ip_vs_wrr.c: a threshold falls from the
// largest weight in steps of the weights' greatest common divisor, and in each
// round the servers whose weight reaches it get one turn each, in list order. An
// edit sends the turn back to the list's head, at the threshold where it stood.
// The cycle's levels are the thresholds, counted in steps.
func weightedRoundRobin(list []Server, before *Layout, cursor uint64, most int) (*Layout, error) {
	step, _ := stepOf(list)
	l := &Layout{step: step}
	var shares []Share
	for _, s := range list {
		if s.Weight > 0 {
			shares = append(shares, Share{s.Index, uint32(s.Weight / step)})
		}
	}
	var begin Turn
	if threshold := startOf(list, before, cursor); threshold > 0 {
		begin.Level = uint32((threshold-1)/step + 1)
	}
	l.Cycle = newCycle(shares, begin, most)
	l.Cycle.Head = l.Cycle.First
	return l, nil
}

// startOf is the threshold of the first round. A new service gets its servers one
// by one; one that has them already when it becomes wrr begins with the heaviest;
// after an edit the threshold stays where it was, as far as the weights allow.
func startOf(list []Server, before *Layout, cursor uint64) (threshold int) {
	if before == nil {
		for i := len(list) - 1; i >= 0; i-- {
			threshold = changed(threshold, list[i:])
		}
		return threshold
	}
	if before.Cycle != nil {
		if level := before.Cycle.turn(cursor).Level; level > 0 {
			threshold = int(level-1)*before.step + 1
		}
	}
	return changed(threshold, list)
}

// changed is ip_vs_wrr_dest_changed: where the threshold stands after an edit
// that leaves this list. The kernel's thresholds are one above a multiple of the
// step, and a weight reaches the next multiple exactly when it reaches that.
func changed(threshold int, list []Server) int {
	step, most := stepOf(list)
	switch {
	case threshold > most || threshold == 0:
		return most
	case step > 1:
		return threshold/step*step + 1
	}
	return threshold
}

// stepOf is the weights' greatest common divisor, at least 1, and the threshold
// that only the largest of them reaches, 0 where there is none.
func stepOf(list []Server) (step, most int) {
	highest := 0
	for _, s := range list {
		step, highest = gcd(step, s.Weight), max(highest, s.Weight)
	}
	step = max(step, 1)
	return step, max(highest-(step-1), 0)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
