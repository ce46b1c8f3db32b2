package dataplane

import (
	"fmt"
	"net"

	"weir/internal/dataplane/abi"
)

// directorBit is an address's bit in the filter that stands before the table
// (director_bit in bpf/lease.h).
func directorBit(mac uint64) uint64 { return 1 << ((mac>>40 ^ mac>>32) & 63) }

// setDirectors makes these, and only these, the Ethernet addresses whose frames
// are never forwarded again.
func (p *Plane) setDirectors(macs []net.HardwareAddr) error {
	wanted, filter := map[uint64]bool{}, uint64(0)
	for _, mac := range macs {
		word := abi.MACWord(mac)
		wanted[word] = true
		filter |= directorBit(word)
		if err := p.tables.directors.Put(word, 1); err != nil {
			return fmt.Errorf("enter director %s: %w", mac, err)
		}
	}
	if err := p.tables.directorFilter.Put(0, filter); err != nil {
		return fmt.Errorf("set the directors' filter: %w", err)
	}
	for word := range p.directors {
		if wanted[word] {
			continue
		}
		if err := p.tables.directors.Drop(word); err != nil {
			return fmt.Errorf("remove a director: %w", err)
		}
	}
	p.directors = wanted
	return nil
}
