package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sync/errgroup"

	"weir/internal/dataplane/abi"
)

// growAgain is how long after tables could not be made another try follows.
const growAgain = time.Minute

// madeAtOnce is how many tables are made at once: each is a file and a thread for that time.
const madeAtOnce = 4

// pairsAtATime is how many pairs of lines of the flow cache one run of the program looks at.
const pairsAtATime = 4096

// startTables takes up the tables of connections that an earlier process has made, or makes the
// first ones.
func (t *Table) startTables() error {
	sizes, err := t.readSizes()
	if err != nil {
		return err
	}
	at := 0
	for i, s := range t.shape.steps {
		if t.shape.slots(s) <= sizes.Slots {
			at = i
		}
	}
	if at, err = t.roomForOlder(at); err != nil {
		return err
	}
	t.index, t.before = sizes.Index, sizes.Before
	if err := t.makeTables(at); err != nil {
		return err
	}
	t.expiry.end = t.entries() // nobody knows what an earlier process left
	return nil
}

// growWhenAsked makes larger tables whenever a program says that there will soon be too little
// room for connections, until ctx ends.
func (t *Table) growWhenAsked(ctx context.Context) error {
	wakes, err := ringbuf.NewReader(t.maps.ConnWakes)
	if err != nil {
		return fmt.Errorf("wait until connections need more room: %w", err)
	}
	defer context.AfterFunc(ctx, func() { wakes.Close() })()
	for {
		if _, err := wakes.Read(); errors.Is(err, ringbuf.ErrClosed) {
			return nil
		} else if err != nil {
			return fmt.Errorf("wait until connections need more room: %w", err)
		}
		t.growOrTell(t.asked)
	}
}

// asked says whether a program has asked for more room than there is now.
func (t *Table) asked() bool {
	var limits abi.BpfConnLimits
	return t.maps.ConnLimits.Lookup(uint32(0), &limits) != nil || limits.Asked == t.entries()
}

// growOrTell makes larger tables where that is still wanted, and says what became of it. After a
// failure it does nothing for a while.
func (t *Table) growOrTell(wanted func() bool) {
	t.growing.Lock()
	defer t.growing.Unlock()
	if time.Now().Before(t.growWait) || !wanted() {
		return
	}
	before := t.has().connections
	switch grown, err := t.grow(); {
	case err != nil:
		t.growWait = time.Now().Add(growAgain)
		t.log.Warn("connections need more memory than there is: beyond their room new ones take the place of others, or are refused",
			"room", before, "error", err)
	case grown:
		t.log.Info("there is room for more connections", "before", before, "now", t.has().connections)
	}
}

// Grow makes larger tables of connections, and says whether these were not the largest.
func (t *Table) Grow() (bool, error) {
	t.growing.Lock()
	defer t.growing.Unlock()
	return t.grow()
}

func (t *Table) grow() (bool, error) {
	has, next := t.has(), int(t.step.Load())+1
	if err := t.makeFlows(has); err != nil { // an earlier try may have failed there
		return true, err
	}
	if next == len(t.shape.steps) {
		return false, nil
	}
	if err := t.leaveIndex(); err != nil { // or there
		return true, err
	}
	err := t.afford(t.shape.bytes(t.shape.steps[next]) - t.shape.bytes(has))
	if err == nil {
		err = t.makeTables(next)
	}
	if err != nil && int(t.step.Load()) != next {
		return true, errors.Join(err, t.setSizes(has, has.connections)) // fewer may be half open
	}
	return true, err
}

// Steps is how many sizes the tables have had, the first included.
func (t *Table) Steps() int { return int(t.step.Load()) + 1 }

// has is how large the tables are.
func (t *Table) has() step { return t.shape.steps[t.step.Load()] }

// entries is how many slots there are.
func (t *Table) entries() uint32 { return t.shape.slots(t.has()) }

// crowded says whether a quarter of the slots is taken, so that larger tables are to be
// made, where there are such.
func (t *Table) crowded() bool {
	return int(t.step.Load())+1 < len(t.shape.steps) && t.Live() >= int(t.entries()/4)
}

// makeTables makes what is lacking of the tables of a step, and puts them in force: first those
// that make room for connections.
func (t *Table) makeTables(to int) error {
	s, index := t.shape.steps[to], t.index
	if index&abi.IndexBits != s.indexBits {
		index = t.shape.index(s, 0)
	}
	var rooms errgroup.Group
	rooms.SetLimit(madeAtOnce)
	t.makeSlots(s, &rooms, nil)
	t.makeIndex(s, index, &rooms)
	if err := rooms.Wait(); err != nil {
		return err
	}
	if index != t.index {
		t.index, t.before = index, t.index
	}
	if err := t.setSizes(s, t.shape.last().connections); err != nil {
		return err
	}
	t.step.Store(int32(to))
	if err := t.leaveIndex(); err != nil {
		return err
	}
	return t.makeFlows(s)
}

// makeFlows makes what is lacking of a step's lines of the flow cache, and puts them in force.
// Before lines move, the connections get word of when they were last used.
func (t *Table) makeFlows(s step) error {
	var chunks errgroup.Group
	chunks.SetLimit(madeAtOnce)
	t.makeFlowChunks(s, &chunks, nil)
	if err := chunks.Wait(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flows.Chunks == s.flowChunks-1 {
		return nil
	}
	if err := t.settleFlows(false); err != nil {
		return err
	}
	t.flows.Chunks = s.flowChunks - 1
	return t.putFlows()
}

// RepairTables makes those tables again that somebody else took away, and tells of each by its
// kind and its place. The connections of lost slots are lost; all others enter another index.
func (t *Table) RepairTables(told func(kind, what string)) error {
	t.growing.Lock()
	defer t.growing.Unlock()
	has := t.has()
	lost := false
	for chunk := range t.shape.indexChunks(has) {
		at := t.index>>abi.IndexPlaceShift + chunk
		switch there, err := innerMap(t.maps.ConnIndex, at); {
		case err != nil:
			return err
		case there != nil:
			there.Close()
		default:
			lost = true
			told(abi.BpfMapConnIndex, fmt.Sprintf("chunk %d", at))
		}
	}
	var missing errgroup.Group
	missing.SetLimit(madeAtOnce)
	slots := func(name string, at uint32) {
		lost = true
		told(name, fmt.Sprintf("chunk %d", at))
	}
	t.makeSlots(has, &missing, slots)
	t.makeFlowChunks(has, &missing, func(name string, at uint32) { told(name, fmt.Sprintf("chunk %d", at)) })
	if err := missing.Wait(); err != nil {
		return err
	}
	if lost {
		return t.remakeIndex(has)
	}
	return t.leaveIndex()
}

// RemakeIndex makes the index anew. It is called after connections were entered elsewhere.
func (t *Table) RemakeIndex() error {
	t.growing.Lock()
	defer t.growing.Unlock()
	if err := t.leaveIndex(); err != nil {
		return err
	}
	return t.remakeIndex(t.has())
}

// remakeIndex makes the index anew, at its other place.
func (t *Table) remakeIndex(s step) error {
	index := t.shape.index(s, t.index)
	var chunks errgroup.Group
	chunks.SetLimit(madeAtOnce)
	t.makeIndex(s, index, &chunks)
	if err := chunks.Wait(); err != nil {
		return err
	}
	t.index, t.before = index, t.index
	if err := t.setSizes(s, t.shape.last().connections); err != nil {
		return err
	}
	return t.leaveIndex()
}

// makeIndex makes what is lacking of the chunks of a step's index.
func (t *Table) makeIndex(s step, index uint32, tasks *errgroup.Group) {
	for chunk := range t.shape.indexChunks(s) {
		tasks.Go(func() error {
			return t.makeOne(t.maps.ConnIndex, abi.BpfMapConnIndex, index>>abi.IndexPlaceShift+chunk, 1<<t.shape.steps[0].indexBits, nil)
		})
	}
}

// makeSlots does that for a step's slots, and tells of each chunk, unless made is nil.
func (t *Table) makeSlots(s step, tasks *errgroup.Group, made func(name string, at uint32)) {
	for chunk := range s.slotChunks {
		tasks.Go(func() error {
			return t.makeOne(t.maps.ConnSlots, abi.BpfMapConnSlots, chunk, t.shape.slotEach, made)
		})
	}
}

// makeFlowChunks does that for a step's lines of the flow cache.
func (t *Table) makeFlowChunks(s step, tasks *errgroup.Group, made func(name string, at uint32)) {
	for cpu := range t.shape.cpus {
		for chunk := range s.flowChunks {
			at := cpu*t.shape.last().flowChunks + chunk
			tasks.Go(func() error {
				return t.makeOne(t.maps.FlowChunks, abi.BpfMapFlowChunks, at, 1<<t.shape.flowBits, made)
			})
		}
	}
}

// makeOne makes one table of a table of tables, if there is none yet at that place, and tells of
// it. The call that puts it there waits until no program runs any more that has seen none; so
// many such calls are made at once.
func (t *Table) makeOne(outer *ebpf.Map, name string, at, entries uint32, made func(name string, at uint32)) error {
	there, err := innerMap(outer, at)
	if err != nil {
		return err
	}
	if there != nil {
		return there.Close()
	}
	spec := t.inner[name].Copy()
	spec.MaxEntries = entries
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("make table %d of %s with %d entries: %w", at, name, entries, err)
	}
	defer inner.Close()
	if err := outer.Put(at, inner); err != nil {
		return fmt.Errorf("put table %d of %s in force: %w", at, name, err)
	}
	if made != nil {
		made(name, at)
	}
	return nil
}

// readSizes reads what the programs are told of how large the tables are.
func (t *Table) readSizes() (sizes abi.BpfSlotSizes, err error) {
	if err := t.maps.SlotSizes.Lookup(uint32(0), &sizes); err != nil {
		return sizes, fmt.Errorf("read how large the tables of connections are: %w", err)
	}
	return sizes, nil
}

// setSizes tells the programs how large the tables of a step are and which indexes are in force,
// and that a part of so many connections may be half open.
func (t *Table) setSizes(s step, connections uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sizes := abi.BpfSlotSizes{
		Slots: t.shape.slots(s), HalfOpen: halfOpenRing(connections), Index: t.index, Before: t.before, Older: t.older.programs,
	}
	if err := t.sizes.Put(0, sizes); err != nil {
		return fmt.Errorf("tell how large the tables of connections are: %w", err)
	}
	return nil
}

// waitForPrograms waits until no program runs any more that ran before: the kernel does so when a
// table is put into a table of tables. The caller holds t.growing.
func (t *Table) waitForPrograms() error {
	first := t.index >> abi.IndexPlaceShift
	index, err := innerMap(t.maps.ConnIndex, first)
	if err != nil || index == nil {
		return err
	}
	defer index.Close()
	if err := t.maps.ConnIndex.Put(first, index); err != nil {
		return fmt.Errorf("wait for programs: %w", err)
	}
	return nil
}

const (
	// slotsAtATime is how many slots one run of the program looks at that moves connections.
	slotsAtATime = 4096
	// movesAtMost bounds how often it looks at them: packets may change a connection meanwhile.
	movesAtMost = 8
)

// leaveIndex has all connections enter the index in force, and takes the one before away.
func (t *Table) leaveIndex() error {
	if t.before == 0 {
		return nil
	}
	if err := t.waitForPrograms(); err != nil { // that enter into the one before
		return err
	}
	for at := uint32(0); at < t.entries(); at += slotsAtATime {
		if err := t.move(at); err != nil {
			return err
		}
	}
	t.before = 0
	if err := t.setSizes(t.has(), t.shape.last().connections); err != nil {
		return err
	}
	for chunk := range t.maps.ConnIndex.MaxEntries() {
		if chunk-t.index>>abi.IndexPlaceShift < t.shape.indexChunks(t.has()) {
			continue
		}
		if err := t.maps.ConnIndex.Delete(chunk); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("take the index before away: %w", err)
		}
	}
	return nil
}

// move has the connections in some slots, from this one on, enter the index in force.
func (t *Table) move(first uint32) error {
	args := abi.BpfMoved{First: first, Slots: slotsAtATime}
	for range movesAtMost {
		args.Failed = 0
		if _, err := t.programs.Move.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
			return fmt.Errorf("move connections to another index: %w", err)
		}
		if args.Failed == 0 {
			return nil
		}
	}
	return fmt.Errorf("move connections to another index: %d of the slots from %d on do not enter it", args.Failed, first)
}

// settleFlows has each connection know when it was last used as its lines of the flow cache do, which
// it empties if asked to.
func (t *Table) settleFlows(empty bool) error {
	each, flag := uint32(1)<<t.shape.flowBits, uint32(0)
	if empty {
		flag = 1
	}
	for chunk := range t.shape.last().flowChunks * t.shape.cpus {
		if there, err := innerMap(t.maps.FlowChunks, chunk); err != nil {
			return err
		} else if there == nil {
			continue
		} else {
			there.Close()
		}
		for first := uint32(0); first < each; first += pairsAtATime {
			args := abi.BpfFlowPairs{Chunk: chunk, First: first, Pairs: min(pairsAtATime, each-first), Empty: flag}
			if _, err := t.programs.Settle.Run(&ebpf.RunOptions{Context: args}); err != nil {
				return fmt.Errorf("store when connections were last used: %w", err)
			}
		}
	}
	return nil
}
