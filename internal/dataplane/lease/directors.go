package lease

import (
	"fmt"
	"net"
	"sync"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
)

// Directors are the other directors' Ethernet addresses. They have a lock of their own.
type Directors struct {
	most   int        // how many there is room for
	mu     sync.Mutex // guards the fields below
	table  *kmap.Mirror[uint64, uint8]
	filter *kmap.Mirror[uint32, uint64]
}

// NewDirectors takes up those that an earlier process left.
func NewDirectors(m *abi.Maps, mirrors *kmap.Mirrors) *Directors {
	d := &Directors{most: int(m.Directors.MaxEntries())}
	d.table = kmap.Add(mirrors, abi.BpfMapDirectors, m.Directors, &d.mu, func(word uint64, _ uint8) string { return abi.WordMAC(word).String() })
	d.filter = kmap.Add[uint32, uint64](mirrors, abi.BpfMapDirectorFilter, m.DirectorFilter, &d.mu, nil)
	return d
}

// List is what is in force.
func (d *Directors) List() (macs []net.HardwareAddr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for word := range d.table.Wrote() {
		macs = append(macs, abi.WordMAC(word))
	}
	return macs
}

// Set makes these, and only these, the Ethernet addresses whose frames are never forwarded
// again. Where there is no room for all, the last ones are left out: what neighbours send
// refuses no configuration.
func (d *Directors) Set(macs []net.HardwareAddr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted, filter := map[uint64]bool{}, uint64(0)
	for _, mac := range macs {
		if len(wanted) == d.most {
			break
		}
		word := abi.MACWord(mac)
		wanted[word] = true
		filter |= abi.DirectorBit(word)
	}
	for word := range d.table.Wrote() {
		if wanted[word] {
			continue
		}
		if err := d.table.Drop(word); err != nil {
			return fmt.Errorf("remove a director: %w", err)
		}
	}
	for word := range wanted {
		if err := d.table.Put(word, 1); err != nil {
			return fmt.Errorf("enter director %s: %w", abi.WordMAC(word), err)
		}
	}
	if err := d.filter.Put(0, filter); err != nil {
		return fmt.Errorf("set the directors' filter: %w", err)
	}
	return nil
}
