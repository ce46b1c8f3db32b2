package conn

import (
	"fmt"

	"weir/internal/dataplane/abi"
)

// setHalfOpen tells the data plane how many connections may be half open
// (conn/half_open.h of bpf/): as many as their ring has places, a sixth of the table.
// With the half more that may slip past it, and the two entries of each behind NAT,
// that is half of the table. It says whether another limit was in force.
func (t *Table) setHalfOpen() (changed bool, err error) {
	var r abi.BpfConnLimits
	if err := t.maps.ConnLimits.Lookup(uint32(0), &r); err != nil {
		return false, fmt.Errorf("read the half-open limit: %w", err)
	}
	if r.Limit == t.maps.HalfOpenRing.MaxEntries() {
		return false, nil
	}
	r.Limit = t.maps.HalfOpenRing.MaxEntries()
	if err := t.maps.ConnLimits.Put(uint32(0), r); err != nil {
		return true, fmt.Errorf("set how many connections may be half open: %w", err)
	}
	return true, nil
}

func (t *Table) startHalfOpen() error {
	_, err := t.setHalfOpen()
	return err
}

// RepairHalfOpen writes the half-open limit again where another one is in force, and
// says whether that was so.
func (t *Table) RepairHalfOpen() (drifted bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.setHalfOpen()
}
