package sched

// Cycle is the order in which rr and wrr give turns to their servers. It has rounds,
// whose levels fall from Top to 1; in each round every server whose share is at least
// the level gets one turn, in list order.
type Cycle struct {
	Shares []Share // in the order of IPVS's list, without the quiesced servers
	Top    uint32  // the largest share
	// Turns are the whole cycle from its top. It is nil where the cycle is longer than
	// allowed; the data plane then works out each turn from Shares.
	Turns []Turn
	// First is the cursor to begin with. With Turns, a cursor counts the turns that
	// were taken. Without, it is the last turn itself: Place << 32 | Level.
	First uint64
	// Head is the cursor at which a round has just begun that is not the top one:
	// nobody has had a turn in that round yet.
	Head uint64
}

// Share is how many turns of a cycle a server has.
type Share struct {
	Server uint32 // Server.Index
	Turns  uint32 // 1 or more
}

// Turn is a position of rr or wrr: which server had the last turn, and in which round.
type Turn struct {
	Place uint32 // in Shares, counted from 1; 0: before the first
	Level uint32 // of the round
}

// newCycle makes the cycle of these shares that goes on after the turn begin. A cycle
// of more than most turns is not laid out.
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

// rank is how many turns of the cycle, counted from its top, come up to and with this
// one.
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

// top is the cursor of a laid-out cycle that begins anew because no server could get a
// connection (pass_over in bpf/). Counting turns never reaches it.
func (c *Cycle) top() uint64 { return uint64(len(c.Turns)) << 32 }

// turn is the turn at which a cursor stands.
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
