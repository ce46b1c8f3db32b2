package sched

// weightedRoundRobin is wrr (net/netfilter/ipvs/ip_vs_wrr.c): a threshold falls from the
// largest weight in steps of the weights' greatest common divisor, and in each round
// every server whose weight reaches the threshold gets one turn, in list order. An edit
// sends the walk back to the list's head but keeps the threshold. The levels of the
// cycle are the thresholds, counted in steps.
func weightedRoundRobin(e edit) (*Layout, error) {
	step, _ := stepOf(e.list)
	l := &Layout{step: step}
	var shares []Share
	for _, s := range e.list {
		if s.Weight > 0 {
			shares = append(shares, Share{s.Index, uint32(s.Weight / step)})
		}
	}
	var begin Turn
	if threshold := startOf(e); threshold > 0 {
		begin.Level = uint32((threshold-1)/step + 1)
	}
	l.Cycle = newCycle(shares, begin, e.most)
	l.Cycle.Head = l.Cycle.First
	return l, nil
}

// startOf is the threshold of the first round. A new service gets its servers one by
// one; one that has them already when it becomes wrr begins with the heaviest; after an
// edit the threshold stays where it was, as far as the weights allow.
func startOf(e edit) (threshold int) {
	if e.before == nil {
		for i := len(e.list) - 1; i >= 0; i-- {
			threshold = changed(threshold, e.list[i:])
		}
		return threshold
	}
	if e.before.Cycle != nil {
		if level := e.before.Cycle.turn(e.cursor).Level; level > 0 {
			threshold = int(level-1)*e.before.step + 1
		}
	}
	return changed(threshold, e.list)
}

// changed is ip_vs_wrr_dest_changed: the threshold after an edit that leaves this list.
// The kernel's thresholds are one above a multiple of the step; a weight, which is a
// multiple of the step, reaches such a threshold exactly when it reaches the next
// multiple.
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

// stepOf is the greatest common divisor of the weights, at least 1, and the highest
// threshold, which only the largest weight reaches; 0 where all servers are quiesced
// (ip_vs_wrr_gcd_weight, ip_vs_wrr_max_weight).
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

// Mark is the plain model of wrr, which walks through the list step by step as
// ip_vs_wrr_schedule does; it is named after the kernel's struct ip_vs_wrr_mark and has
// nothing to do with firewall marks. Tests compare the laid-out cycles and the data
// plane with it.
type Mark struct {
	list       []Server
	at         int // the place in list of the server that had the last turn; -1: the head
	weight     int // the threshold: what a server's weight has to reach in this round
	most, step int // the highest threshold, and by how much it falls each round
}

// Changed tells the model of an edit that leaves these servers, in the order in which
// they were added.
func (m *Mark) Changed(servers []Server) {
	m.list = newestFirst(servers)
	m.at = -1
	m.step, m.most = stepOf(m.list)
	m.weight = changed(m.weight, m.list)
}

// Next is the server that gets the next connection. Full servers are passed over; ok
// is false where no server may get a connection.
func (m *Mark) Next(full func(server uint32) bool) (server uint32, ok bool) {
	if m.most == 0 {
		return 0, false
	}
	last, stop := m.at, -1
	lastRound, wrapped := false, false
	for {
		for m.at++; m.at < len(m.list); m.at++ {
			s := m.list[m.at]
			if !full(s.Index) && s.Weight >= m.weight {
				return s.Index, true
			}
			if m.at == stop {
				return 0, false
			}
		}
		m.at = -1
		if m.weight -= m.step; m.weight <= 0 {
			m.weight = m.most
			if lastRound || last == -1 {
				return 0, false
			}
			wrapped = true
		}
		if lastRound = m.weight <= m.step; lastRound && wrapped {
			stop = last
		}
	}
}
