package conn

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

const (
	// firstRoom is for how many connections there is room at first, where there is to be more. A
	// step that is taken later makes room for a multiple of what was there before.
	firstRoom = 1 << 16
	// slotShift is how many slots a chunk of them has, by its logarithm, where there are to be
	// several.
	slotShift = 16
	// halfOpenPart is the part of all connections that may be half open.
	halfOpenPart = 6
)

// A step is how large the tables are: at first, and each time that they have grown.
type step struct {
	indexFirst  uint32 // the first chunk of the index, in either half of the table of its chunks
	connections uint32 // that there is room for
	slotChunks  uint32
	indexBits   uint32 // the logarithm of how many buckets the index has
	flowChunks  uint32 // of each CPU
}

// shape is how large the tables are at each step.
type shape struct {
	steps    []step
	slotEach uint32 // slots of a chunk
	slotBits uint32 // a slot's index shifted by so many bits is its chunk's
	flowBits uint32 // the logarithm of how many pairs of lines a chunk has
	cpus     uint32
}

// shapeOf is the shape of tables that have room for so many connections in the end. Few have all
// of it from the start. Otherwise there are as many slots as there is room, and some more in the
// end; and, since tables grow when a quarter of the room is taken, two lines for each of so many
// connections. An index has at least seven references for two connections, each of which takes one
// or two.
func shapeOf(connections uint32) shape {
	s := shape{cpus: uint32(ebpf.MustPossibleCPU())}
	rooms := []uint32{connections}
	switch {
	case connections > 8*firstRoom:
		rooms = []uint32{firstRoom, connections / 2, connections}
	case connections > 2*firstRoom:
		rooms = []uint32{firstRoom, connections}
	}
	s.slotBits, s.slotEach = slotShift, 1<<slotShift
	if len(rooms) == 1 {
		s.slotBits, s.slotEach = 31, connections+connections/4+64 // there is one chunk
	}
	for i, room := range rooms {
		pairs := s.pairs(room)
		if i < len(rooms)-1 {
			pairs -= 2
		}
		if i == 0 {
			s.flowBits = pairs
		}
		chunks := uint32(1)
		if i > 0 {
			chunks = (room+room/32)>>slotShift + 1
		}
		at := step{connections: room, slotChunks: chunks, indexBits: uint32(bits.Len32(max(room, 4)-1)) - 1, flowChunks: 1 << (pairs - s.flowBits)}
		if i > 0 {
			before := s.steps[i-1]
			at.indexFirst = before.indexFirst + s.indexChunks(before)
		}
		s.steps = append(s.steps, at)
	}
	return s
}

// pairs is the logarithm of how many pairs of lines of the flow cache each CPU gets where there
// is room for so many connections: two lines a connection of all CPUs, or somewhat fewer.
func (s *shape) pairs(connections uint32) uint32 {
	return uint32(max(3, bits.Len32(connections/s.cpus)-1))
}

func (s *shape) last() step { return s.steps[len(s.steps)-1] }

// slots is how many slots there are at a step.
func (s *shape) slots(at step) uint32 { return at.slotChunks * s.slotEach }

// indexChunks is how many chunks the step's index has. Each has as many buckets as the first index.
func (s *shape) indexChunks(at step) uint32 {
	if len(s.steps) == 0 || at == s.steps[0] {
		return 1
	}
	return 1 << (at.indexBits - s.steps[0].indexBits)
}

// allIndexChunks is how many chunks the indexes of all steps have.
func (s *shape) allIndexChunks() uint32 { return s.last().indexFirst + s.indexChunks(s.last()) }

// index is what the programs are told of the step's index. It has two places, so that it can be made
// anew while connections are looked for in it: other is the one of the two that is not to be taken.
func (s *shape) index(at step, other uint32) uint32 {
	index := at.indexFirst<<abi.IndexPlaceShift | at.indexBits
	if index == other {
		index += s.allIndexChunks() << abi.IndexPlaceShift
	}
	return index
}

// halfOpenRing is how many places the ring of half-open connections has, for so many connections.
func halfOpenRing(connections uint32) uint32 { return max(1, connections/halfOpenPart) }

// Size gives the tables of connections and what belongs to them the sizes that they have in the
// end, for so many connections.
func Size(spec *ebpf.CollectionSpec, connections uint32) error {
	s := shapeOf(connections)
	last := s.last()
	spec.Maps[abi.BpfMapConnSlots].MaxEntries = last.slotChunks
	spec.Maps[abi.BpfMapConnSlots].InnerMap.MaxEntries = s.slotEach
	spec.Maps[abi.BpfMapConnIndex].MaxEntries = 2 * s.allIndexChunks()
	spec.Maps[abi.BpfMapConnIndex].InnerMap.MaxEntries = 1 << s.steps[0].indexBits
	spec.Maps[abi.BpfMapFlowChunks].MaxEntries = last.flowChunks * s.cpus
	spec.Maps[abi.BpfMapFlowChunks].InnerMap.MaxEntries = 1 << s.flowBits
	spec.Maps[abi.BpfMapHalfOpenSlots].MaxEntries = halfOpenRing(connections)
	for name, value := range map[string]uint32{
		abi.BpfVarSlotChunkShift:  s.slotBits,
		abi.BpfVarIndexChunkShift: s.steps[0].indexBits,
		abi.BpfVarFlowChunkPairs:  1 << s.flowBits,
		abi.BpfVarFlowChunksMost:  last.flowChunks,
		abi.BpfVarFlowCpus:        s.cpus,
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
		{abi.BpfMapConnSlots, m.ConnSlots, s.slotEach},
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

// At reads the slot at a place, counted from 1.
func (t *Table) At(place uint32) (c abi.BpfConn, err error) {
	at := place - 1
	chunk, err := innerMap(t.maps.ConnSlots, at>>t.shape.slotBits)
	if err != nil {
		return c, err
	}
	if chunk == nil {
		return c, fmt.Errorf("slot %d: %w", place, ebpf.ErrKeyNotExist)
	}
	defer chunk.Close()
	return c, chunk.Lookup(at&(1<<t.shape.slotBits-1), &c)
}
