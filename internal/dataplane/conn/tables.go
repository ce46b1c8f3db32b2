package conn

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

const (
	// firstTable is how many connections the first table has room for, where there are to be
	// several. A table that is made later has room for a multiple of what was there before.
	firstTable = 1 << 16
	// chunkShift is how many expiry entries a chunk of them has, by its logarithm, where there
	// are to be several.
	chunkShift = 16
	// halfOpenPart is the part of all connections that may be half open.
	halfOpenPart = 6
)

// A step is how large the tables are: at first, and each time that they have grown.
type step struct {
	tables       int    // of connections
	connections  uint32 // that these have room for
	expiryChunks uint32
	flowChunks   uint32 // of each CPU
}

// shape is how large the tables are at each step.
type shape struct {
	tables     []uint32 // how many connections each has room for
	steps      []step
	expiryEach uint32 // expiry entries of a chunk
	expiryBits uint32 // an entry's index shifted by so many bits is its chunk's
	flowBits   uint32 // the logarithm of how many pairs of lines a chunk has
	cpus       uint32
}

// shapeOf is the shape of tables that have room for so many connections in the end. Few have all
// of it from the start. Otherwise there are as many expiry entries as there is room, and some
// more in the end; and, since larger tables are made when a quarter of the room is taken, two
// lines for each of so many connections.
func shapeOf(connections uint32) shape {
	s := shape{tables: []uint32{connections}, cpus: uint32(ebpf.MustPossibleCPU())}
	switch {
	case connections > 8*firstTable:
		s.tables = []uint32{firstTable, connections/2 - firstTable, connections - connections/2}
	case connections > 2*firstTable:
		s.tables = []uint32{firstTable, connections - firstTable}
	}
	s.expiryBits, s.expiryEach = chunkShift, 1<<chunkShift
	if len(s.tables) == 1 {
		s.expiryBits, s.expiryEach = 31, connections+connections/4+64 // there is one chunk
	}
	room, pairs := uint32(0), uint32(0)
	for i, n := range s.tables {
		room += n
		if pairs = s.pairs(room); i < len(s.tables)-1 {
			pairs -= 2
		}
		if i == 0 {
			s.flowBits = pairs
		}
		chunks := uint32(1)
		if i > 0 {
			chunks = (room+room/32)>>chunkShift + 1
		}
		s.steps = append(s.steps, step{i + 1, room, chunks, 1 << (pairs - s.flowBits)})
	}
	return s
}

// pairs is the logarithm of how many pairs of lines of the flow cache each CPU gets where there
// is room for so many connections: two lines a connection of all CPUs, or somewhat fewer.
func (s *shape) pairs(connections uint32) uint32 {
	return uint32(max(3, bits.Len32(connections/s.cpus)-1))
}

func (s *shape) last() step { return s.steps[len(s.steps)-1] }

// sizes are what the programs are told of a step. Bit n of older says that connections are looked
// for in table n, too.
func (s *shape) sizes(at step, connections, older uint32) abi.BpfConnSizes {
	return abi.BpfConnSizes{
		Entries: at.expiryChunks * s.expiryEach, HalfOpen: halfOpenRing(connections),
		Newest: uint32(at.tables - 1), Older: older & at.olderTables(),
	}
}

// olderTables has a bit for each table but the newest.
func (s step) olderTables() uint32 { return 1<<(s.tables-1) - 1 }

// halfOpenRing is how many places the ring of half-open connections has, for so many connections.
func halfOpenRing(connections uint32) uint32 { return max(1, connections/halfOpenPart) }

// Size gives the tables of connections and what belongs to them the sizes that they have in the
// end, for so many connections.
func Size(spec *ebpf.CollectionSpec, connections uint32) error {
	s := shapeOf(connections)
	last := s.last()
	spec.Maps[abi.BpfMapExpiryChunks].MaxEntries = last.expiryChunks
	spec.Maps[abi.BpfMapExpiryChunks].InnerMap.MaxEntries = s.expiryEach
	spec.Maps[abi.BpfMapFlowChunks].MaxEntries = last.flowChunks * s.cpus
	spec.Maps[abi.BpfMapFlowChunks].InnerMap.MaxEntries = 1 << s.flowBits
	spec.Maps[abi.BpfMapHalfOpenRing].MaxEntries = halfOpenRing(connections)
	for name, value := range map[string]uint32{
		abi.BpfVarExpiryChunkShift: s.expiryBits,
		abi.BpfVarFlowBits:         s.flowBits,
		abi.BpfVarFlowChunkBits:    uint32(bits.Len32(last.flowChunks) - 1),
		abi.BpfVarFlowCpus:         s.cpus,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// Fits says whether the tables that an earlier process has made have the sizes that this
// process makes, as far as their pins do not tell.
func Fits(m *abi.Maps, connections int) error {
	s := shapeOf(uint32(connections))
	for _, of := range []struct {
		name  string
		outer *ebpf.Map
		each  uint32
	}{
		{abi.BpfMapConnTables, m.ConnTables, s.tables[0]},
		{abi.BpfMapExpiryChunks, m.ExpiryChunks, s.expiryEach},
		{abi.BpfMapFlowChunks, m.FlowChunks, 1 << s.flowBits},
	} {
		inner, err := innerMap(of.outer, 0)
		if err != nil || inner == nil {
			return err
		}
		defer inner.Close()
		if has := inner.MaxEntries(); has != of.each {
			return fmt.Errorf("%w: %s: entries %d, now %d", ebpf.ErrMapIncompatible, of.name, has, of.each)
		}
	}
	return nil
}

// innerMap is the table at a place of a table of tables, or nil where none is. The caller closes it.
func innerMap(outer *ebpf.Map, at uint32) (*ebpf.Map, error) {
	var inner *ebpf.Map
	switch err := outer.Lookup(at, &inner); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find table %d of %v: %w", at, outer, err)
	}
	return inner, nil
}

// openTables opens the tables of connections that have not been opened, of so many.
func (t *Table) openTables(n int) error {
	tables := slices.Clone(*t.tables.Load())
	for at := len(tables); at < n; at++ {
		table, err := innerMap(t.maps.ConnTables, uint32(at))
		if err != nil {
			return err
		}
		tables = append(tables, table)
	}
	t.tables.Store(&tables)
	return nil
}

// Tables are the tables of connections, by their keys, which are flows.
func (t *Table) Tables() []*ebpf.Map { return *t.tables.Load() }

// Close closes them.
func (t *Table) Close() {
	if tables := t.tables.Load(); tables != nil {
		for _, table := range *tables {
			table.Close()
		}
	}
}

// Find reads a flow's entry. Its error is ebpf.ErrKeyNotExist where there is none.
func (t *Table) Find(key abi.BpfFlowKey) (c abi.BpfConn, err error) {
	for _, table := range t.Tables() {
		if err := table.Lookup(key, &c); !errors.Is(err, ebpf.ErrKeyNotExist) {
			return c, err
		}
	}
	return c, ebpf.ErrKeyNotExist
}

// expiryEntry reads the expiry entry at a place, counted from 1.
func (t *Table) expiryEntry(place uint32) (e abi.ExpiryEntry, err error) {
	at := place - 1
	chunk, err := innerMap(t.maps.ExpiryChunks, at>>t.shape.expiryBits)
	if err != nil {
		return e, err
	}
	if chunk == nil {
		return e, fmt.Errorf("expiry entry %d: %w", place, ebpf.ErrKeyNotExist)
	}
	defer chunk.Close()
	return e, chunk.Lookup(at&(1<<t.shape.expiryBits-1), &e)
}
