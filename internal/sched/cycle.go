package sched

// Cycle is the order in which rr and wrr give turns to their servers: in rounds,
// whose levels fall from Top to 1, each server that has so many turns gets one, in
// list order.
type Cycle struct {
	Shares []Share // in the order of the list, without the quiesced
	Top    uint32  // the most turns that one has
	// Turns are the whole cycle, laid out from its top. It is nil where that would
	// be too long, and the data plane walks through the shares instead.
	Turns []Turn
	// First is the cursor to begin with. With Turns a cursor counts those that were
	// taken; without, it is the last turn itself.
	First uint64
	// Head is the cursor of a round that has just begun, where one did not begin
	// with the top: nobody had a turn in it yet.
	Head uint64
}

// Share is how many turns of a cycle a server has.
type Share struct {
	Server uint32 // its number in the data plane
	Turns  uint32
}

// Turn is where rr or wrr stands: who had the last turn, and in which round.
type Turn struct {
	Place uint32 // in Shares, counted from 1; 0: before the first
	Level uint32
}

// newCycle goes on after a turn; a cycle of more turns than most is not laid out.
func newCycle(shares []Share, begin Turn, most int) *Cycle {
	c := &Cycle{Shares: shares}
	total := 0
	for _, s := range shares {
		total += int(s.Turns)
		c.Top = max(c.Top, s.Turns)
	}
	if total > most {
		c.First = uint64(begin.Place)<<32 | uint64(begin.Level)
		return c
	}
	c.Turns = make([]Turn, 0, total)
	for level := c.Top; level > 0; level-- {
		for i, s := range shares {
			if s.Turns >= level {
				c.Turns = append(c.Turns, Turn{uint32(i + 1), level})
			}
		}
	}
	c.First = c.rank(begin)
	return c
}

// rank is how many turns of a cycle, from its top, have been taken after this one.
func (c *Cycle) rank(t Turn) (n uint64) {
	for i, s := range c.Shares {
		if s.Turns > t.Level {
			n += uint64(s.Turns - t.Level)
		}
		if s.Turns >= t.Level && i < int(t.Place) {
			n++
		}
	}
	return n
}

// top is the cursor of a cycle that begins anew because no server was to be had.
// No counting comes so far.
func (c *Cycle) top() uint64 { return uint64(len(c.Turns)) << 32 }

// turn is where a cursor stands.
func (c *Cycle) turn(cursor uint64) Turn {
	n := uint64(len(c.Turns))
	switch {
	case n == 0:
		return Turn{uint32(cursor >> 32), uint32(cursor)}
	case cursor == c.Head, cursor == c.top():
		return Turn{0, c.Turns[cursor%n].Level}
	}
	return c.Turns[(cursor-1)%n]
}
