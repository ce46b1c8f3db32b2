package dataplane

import (
	"testing"

	"weir/internal/dataplane/abi"
)

// wantWholeIndex expects each connection to be found by its key, and the index to have one
// reference to each, one more where the server's answers are to be known, and no others. No slot is
// left half-way.
func (b *bench) wantWholeIndex(t testing.TB) {
	t.Helper()
	refs, answers := map[uint32]int{}, map[uint32]int{}
	eachOf(t, b.maps.ConnIndex, 1, func(at *abi.Bucket) {
		for _, ref := range at.Refs {
			switch place := uint32(ref); {
			case place == 0:
			case place&abi.RefAnswers != 0:
				answers[place&^abi.RefAnswers]++
			default:
				refs[place]++
			}
		}
	})
	wrong, looked := 0, 0
	b.eachSlot(t, func(c *abi.BpfConn) {
		state, method, _ := c.Read()
		wantRefs, wantAnswers := 0, 0
		if c.Lives() {
			wantRefs = 1
			if c.Route.Ifindex != 0 {
				wantAnswers = 1
			}
		} else if state != abi.BpfConnStateSTATE_NONE {
			t.Errorf("slot %d is left in state %v", c.Place, state)
		}
		if refs[c.Place] != wantRefs || answers[c.Place] != wantAnswers {
			if wrong++; wrong <= 3 {
				t.Errorf("connection %v, state %v, method %v: the index has %d references and %d of its answers; want %d and %d",
					c.Key, state, method, refs[c.Place], answers[c.Place], wantRefs, wantAnswers)
			}
		}
		if !c.Lives() || looked == 1000 {
			return
		}
		looked++
		if found, err := b.conns.Find(c.Key); err != nil || found.Place != c.Place {
			if wrong++; wrong <= 3 {
				t.Errorf("connection %v is found at place %d, %v; want %d", c.Key, found.Place, err, c.Place)
			}
		}
	})
}
