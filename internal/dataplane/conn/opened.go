package conn

import (
	"fmt"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

const (
	// answerWithin is how long a client has to acknowledge its server's SYN: as long as it
	// waits before it repeats its own (RFC 6298 section 2, with no round trip measured).
	answerWithin = time.Second
	// openedMost bounds how many connections are looked at in one call.
	openedMost = 512
)

// opened is which half-open connections have been looked at.
type opened struct {
	began []turnAt // when the ring was at which turn, the oldest first
	from  uint64   // the turn of the first connection that has not been looked at
}

type turnAt struct {
	at   time.Time
	turn uint64
}

// Opened counts, by server index, what became of the TCP connections that began since the
// last call but one second before now, or of the latest 512 of those. The client's
// acknowledgement says that its server answered; by direct routing the director sees nothing
// else. It reads the ring of half-open connections, so that no packet pays for it. The first
// call only notes where the ring is. The services and servers are left unnamed.
func (t *Table) Opened(now time.Time) (map[uint32]lvs.Opened, error) {
	t.looking.Lock()
	defer t.looking.Unlock()
	var limits abi.BpfConnLimits
	if err := t.maps.ConnLimits.Lookup(uint32(0), &limits); err != nil {
		return nil, fmt.Errorf("read how many connections have become half open: %w", err)
	}
	sizes, err := t.readSizes()
	if err != nil {
		return nil, err
	}
	places := uint64(sizes.HalfOpen)
	from, to := t.opened.next(now, limits.Turn, places)
	counts := map[uint32]lvs.Opened{}
	for turn := from; turn < to; turn++ {
		if err := t.countOpened(uint32(turn%places), counts); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// next is which turns of the ring are to be looked at. Of a ring with so many places the
// older ones are overwritten.
func (o *opened) next(now time.Time, turn, places uint64) (from, to uint64) {
	if len(o.began) == 0 || turn < o.began[len(o.began)-1].turn {
		o.began, o.from = nil, turn // nothing is known of those before
	}
	o.began = append(o.began, turnAt{now, turn})
	to = o.from
	for len(o.began) > 1 && now.Sub(o.began[0].at) >= answerWithin {
		to = o.began[0].turn
		o.began = o.began[1:]
	}
	from, o.from = o.from, max(o.from, to)
	if turn > places {
		from = max(from, turn-places)
	}
	if to > openedMost {
		from = max(from, to-openedMost)
	}
	return min(from, to), to
}

// countOpened counts the connection at a place of the ring. One that has gone, or that has
// made room for another, says nothing.
func (t *Table) countOpened(place uint32, counts map[uint32]lvs.Opened) error {
	var half abi.BpfHalfOpen
	if err := t.maps.HalfOpenSlots.Lookup(place, &half); err != nil {
		return fmt.Errorf("read a half-open connection: %w", err)
	}
	if half.Place == 0 {
		return nil
	}
	c, err := t.At(half.Place)
	if err != nil {
		return fmt.Errorf("read a connection: %w", err)
	}
	state, _, server := c.Read()
	if uint32(c.Word>>abi.WordIncarnationShift) != half.Incarnation || !c.Lives() {
		return nil
	}
	count := counts[server]
	if state == abi.BpfConnStateSTATE_SYN_RECV {
		count.Unanswered++
	} else {
		count.Answered++
	}
	counts[server] = count
	return nil
}
