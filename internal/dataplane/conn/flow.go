package conn

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"weir/internal/dataplane/abi"
)

// startFlows empties the flow cache, and gives it its secret, once.
func (t *Table) startFlows() error {
	if err := t.maps.FlowKnobs.Lookup(uint32(0), &t.flows); err != nil {
		return fmt.Errorf("read how the flow cache works: %w", err)
	}
	if t.flows.Seed[0] == 0 {
		var secret [len(t.flows.Seed) * 8]byte
		rand.Read(secret[:]) // never fails
		for i := range t.flows.Seed {
			t.flows.Seed[i] = binary.NativeEndian.Uint64(secret[8*i:]) | 1
		}
	}
	return t.forgetFlows()
}

// ForgetFlows makes every established flow take the full path once.
func (t *Table) ForgetFlows() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forgetFlows()
}

// forgetFlows makes every established flow take the full path once. It is called when
// existing flows are to be forwarded in another way; a new weight is no such change.
func (t *Table) forgetFlows() error {
	const layout = abi.FlowLayout << abi.FlowLayoutShift
	count := (t.flows.Generation + 1) & (1<<abi.FlowLayoutShift - 1)
	if count == 0 { // a line of this very generation, of long ago, would be believed
		if err := t.settleFlows(true); err != nil {
			return err
		}
	}
	t.flows.Generation = layout | count
	t.flows.Older++
	if err := t.putFlows(); err != nil || count != 0 {
		return err
	}
	return t.settleFlows(true) // the lines that were filled meanwhile have the generation before
}

func (t *Table) putFlows() error {
	if err := t.flowKnobs.Put(0, t.flows); err != nil {
		return fmt.Errorf("set how the flow cache works: %w", err)
	}
	return nil
}

// idle is the number of ticks without a packet after which a line is not used any more.
// It is the shortest time-out of the states that have lines: after that the full path
// decides whether the connection has expired.
func idle(all Timeouts) uint32 {
	return uint32(min(all[abi.BpfConnStateSTATE_ESTABLISHED], all[abi.BpfConnStateSTATE_UDP]) / TickLength)
}
