package service

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// layOut makes a new table where the servers, their order, their weights or
// the scheduler have changed, going on after the last turn of the old one. A table
// that an earlier process left stays, if it is of the same servers.
func (r *Registry) layOut(c *change, list []sched.Server) error {
	s, scheduler := c.service, c.vs.Scheduler
	if s.layout != nil && s.layout.Same(scheduler, list) {
		c.layout = s.layout
		return nil
	}
	left, id := r.table(s)
	var cursor uint64
	if left != nil {
		cursor = left[abi.TableCursor]
	}
	layout, err := sched.Edit(scheduler, list, s.layout, cursor, r.cycle)
	if err != nil {
		return err
	}
	c.layout = layout
	words := tableOf(layout)
	if s.layout == nil && sameTable(left, words) {
		layout.Left(left[abi.TableHead])
		s.table = id
		return nil
	}
	c.table, err = r.newTable(words)
	return err
}

// hashed is a server's address as mh hashes it: of one behind a tunnel of the other family IPVS
// takes what stands where the service's family has its address (ip_vs_mh_hashkey, which is
// called with the service's).
func hashed(vs lvs.VirtualServer, at netip.AddrPort) netip.AddrPort {
	if !vs.Addr.Is4() || at.Addr().Is4() {
		return at
	}
	b := at.Addr().As16()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), at.Port())
}

// tableOf is a layout as the data plane reads it.
func tableOf(l *sched.Layout) []uint64 {
	words := make([]uint64, abi.TableSlots)
	for _, slot := range l.Slots {
		words = append(words, uint64(slot))
	}
	if c := l.Cycle; c != nil {
		words[abi.TableCursor], words[abi.TableHead] = c.First, c.Head
		words[abi.TableServers], words[abi.TableTop] = uint64(len(c.Shares)), uint64(c.Top)
		for _, t := range c.Turns {
			words = append(words, abi.TurnWord(t.Level, t.Place, c.Shares[t.Place-1].Server))
		}
		for _, s := range c.Shares {
			words = append(words, abi.ShareWord(s.Turns, s.Server))
		}
	}
	words[abi.TableLength] = uint64(len(words)-abi.TableSlots) - words[abi.TableServers]
	return append(words, make([]uint64, -len(words)&(abi.RowWords-1))...)
}

// sameTable says whether two differ only in whose turn it is.
func sameTable(left, words []uint64) bool {
	return len(left) >= abi.TableSlots && slices.Equal(left[abi.TableLength:abi.TableHead], words[abi.TableLength:abi.TableHead]) &&
		slices.Equal(left[abi.TableSlots:], words[abi.TableSlots:])
}

// newTable makes a table that is not in force yet.
func (r *Registry) newTable(words []uint64) (*ebpf.Map, error) {
	spec := r.spec.Maps[abi.BpfMapTables].InnerMap.Copy()
	rows := slices.Collect(slices.Chunk(words, abi.RowWords))
	spec.MaxEntries = uint32(len(rows))
	spec.Key, spec.Value = nil, nil // its types would be loaded with each table
	table, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, fmt.Errorf("make one of %d words: %w", len(words), err)
	}
	keys, values := make([]uint32, len(rows)), make([]abi.Row, len(rows))
	for i, row := range rows {
		keys[i], values[i] = uint32(i), abi.Row(row)
	}
	if _, err := table.BatchUpdate(keys, values, nil); err != nil {
		table.Close()
		return nil, fmt.Errorf("fill it: %w", err)
	}
	if err := table.Freeze(); err != nil {
		table.Close()
		return nil, err
	}
	return table, nil
}

// putTables puts new tables in force, each together with its cursor. From then on only the
// data plane may write to them. The kernel waits in each call until no program reads an old
// table any more; so all tables are put in one call.
func (r *Registry) putTables(changed []*change) error {
	var indexes, tables []uint32
	var done []*change
	for _, c := range changed {
		if c.table != nil {
			defer c.table.Close()
			indexes, tables, done = append(indexes, c.index), append(tables, uint32(c.table.FD())), append(done, c)
		}
	}
	if len(done) == 0 {
		return nil
	}
	if n, err := r.maps.Tables.BatchUpdate(indexes, tables, nil); err != nil {
		return fmt.Errorf("put %d of %d tables in force: %w", len(done)-n, len(done), err)
	}
	for _, c := range done {
		id, err := r.tableID(c.service) // asking the table itself takes twenty times as long
		if err != nil {
			return fmt.Errorf("look at the table of %s: %w", c.vs.ServiceKey, err)
		}
		c.service.table, c.table = id, nil
	}
	return nil
}

// tableID is the kernel's number of the service's table; 0 where there is none.
func (r *Registry) tableID(s *service) (id ebpf.MapID, err error) {
	err = r.maps.Tables.Lookup(s.index, &id)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, nil
	}
	return id, err
}

// emptyTables puts a table without servers in the place of those of services that were
// removed: a table cannot be deleted without a wait of 10 ms or more for the kernel, which
// a call that replaces many has once.
func (r *Registry) emptyTables(indexes []uint32) (err error) {
	if r.empty == nil {
		if r.empty, err = r.newTable(tableOf(&sched.Layout{})); err != nil {
			return fmt.Errorf("make a table without servers: %w", err)
		}
	}
	tables := slices.Repeat([]uint32{uint32(r.empty.FD())}, len(indexes))
	if n, err := r.maps.Tables.BatchUpdate(indexes, tables, nil); err != nil {
		return fmt.Errorf("empty %d of %d tables: %w", len(indexes)-n, len(indexes), err)
	}
	return nil
}

// table reads the service's table, and which one that is; nil where there is none.
func (r *Registry) table(s *service) ([]uint64, ebpf.MapID) {
	var table *ebpf.Map
	if err := r.maps.Tables.Lookup(s.index, &table); err != nil {
		return nil, 0
	}
	defer table.Close()
	keys, rows := make([]uint32, table.MaxEntries()), make([]abi.Row, table.MaxEntries())
	n, err := table.BatchLookup(&ebpf.MapBatchCursor{}, keys, rows, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || n != len(rows) { // that is its end
		return nil, 0
	}
	id, err := r.tableID(s)
	if err != nil {
		return nil, 0
	}
	words := make([]uint64, 0, abi.RowWords*len(rows))
	for _, row := range rows {
		words = append(words, row[:]...)
	}
	return words, id
}
