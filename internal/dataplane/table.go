package dataplane

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/sched"
	"weir/lvs"
)

// The first elements of a table (bpf/abi.h).
const (
	tableCursor = iota
	tableLength
	tableServers
	tableTop
	tableHead
	tableSlots
)

// layOut swaps in a new table where the servers, their order, their weights or
// the scheduler have changed, going on after the last turn of the old one. A table
// that an earlier process left stays, if it is of the same servers.
func (p *Plane) layOut(s *service, scheduler lvs.Scheduler, list []sched.Server) error {
	if s.layout != nil && s.layout.Same(scheduler, list) {
		return nil
	}
	left, id := p.table(s)
	var cursor uint64
	if left != nil {
		cursor = left[tableCursor]
	}
	layout, err := sched.Edit(scheduler, list, s.layout, cursor, p.cycle)
	if err != nil {
		return err
	}
	words := tableOf(layout)
	if s.layout == nil && sameTable(left, words) {
		layout.Left(left[tableHead])
		s.layout, s.table = layout, id
		return nil
	}
	if err := p.putTable(s, words); err != nil {
		return err
	}
	s.layout = layout
	return nil
}

// tableOf is a layout as the data plane reads it.
func tableOf(l *sched.Layout) []uint64 {
	words := make([]uint64, tableSlots)
	for _, slot := range l.Slots {
		words = append(words, uint64(slot))
	}
	if c := l.Cycle; c != nil {
		words[tableCursor], words[tableHead] = c.First, c.Head
		words[tableServers], words[tableTop] = uint64(len(c.Shares)), uint64(c.Top)
		for _, t := range c.Turns {
			words = append(words, uint64(t.Level-1)<<48|uint64(t.Place-1)<<32|uint64(c.Shares[t.Place-1].Server))
		}
		for _, s := range c.Shares {
			words = append(words, uint64(s.Turns)<<32|uint64(s.Server))
		}
	}
	words[tableLength] = uint64(len(words)-tableSlots) - words[tableServers]
	return words
}

// sameTable says whether two differ only in whose turn it is.
func sameTable(left, words []uint64) bool {
	return len(left) >= tableSlots && slices.Equal(left[tableLength:tableHead], words[tableLength:tableHead]) &&
		slices.Equal(left[tableSlots:], words[tableSlots:])
}

// putTable makes a table and puts it in force, together with its cursor. The data
// plane alone may write to it from then on.
func (p *Plane) putTable(s *service, words []uint64) error {
	spec := p.spec.Maps[bpfMapTables].InnerMap.Copy()
	spec.MaxEntries = uint32(len(words))
	table, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("make one of %d words: %w", len(words), err)
	}
	defer table.Close()
	keys := make([]uint32, len(words))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := table.BatchUpdate(keys, words, nil); err != nil {
		return fmt.Errorf("fill it: %w", err)
	}
	if err := table.Freeze(); err != nil {
		return err
	}
	if err := p.maps.Tables.Put(s.index, table); err != nil {
		return err
	}
	s.table, err = p.tableID(s)
	return err
}

// tableID is the kernel's number of the service's table; 0 where there is none.
func (p *Plane) tableID(s *service) (id ebpf.MapID, err error) {
	err = p.maps.Tables.Lookup(s.index, &id)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, nil
	}
	return id, err
}

func (p *Plane) dropTable(index uint32) error {
	if err := p.maps.Tables.Delete(index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// table reads the service's table, and which one that is; nil where there is none.
func (p *Plane) table(s *service) ([]uint64, ebpf.MapID) {
	var table *ebpf.Map
	if err := p.maps.Tables.Lookup(s.index, &table); err != nil {
		return nil, 0
	}
	defer table.Close()
	keys, words := make([]uint32, table.MaxEntries()), make([]uint64, table.MaxEntries())
	n, err := table.BatchLookup(&ebpf.MapBatchCursor{}, keys, words, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || n != len(words) { // that is its end
		return nil, 0
	}
	id, err := p.tableID(s)
	if err != nil {
		return nil, 0
	}
	return words, id
}
