package dataplane

import (
	"fmt"

	"weir/internal/dataplane/abi"
)

// setRoom tells the data plane how many connections may be half open (bpf/room.h):
// as many as their ring has places, a sixth of the table. With the half more that
// may slip past it, and the two entries of each behind NAT, that is half of it.
func (p *Plane) setRoom() error {
	var r abi.BpfRoom
	if err := p.maps.Rooms.Lookup(uint32(0), &r); err != nil {
		return fmt.Errorf("read how much room there is: %w", err)
	}
	if r.Limit == p.maps.HalfOpens.MaxEntries() {
		return nil
	}
	r.Limit = p.maps.HalfOpens.MaxEntries()
	if err := p.maps.Rooms.Put(uint32(0), r); err != nil {
		return fmt.Errorf("set how many connections may be half open: %w", err)
	}
	return nil
}
