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
	var sizes abi.BpfConnSizes
	if err := t.maps.ConnSizes.Lookup(uint32(0), &sizes); err != nil {
		return fmt.Errorf("read how large the tables of connections are: %w", err)
	}
	t.tables.Store(new([]*ebpf.Map))
	at := 0
	for i, s := range t.shape.steps {
		if t.shape.sizes(s, 0, 0).Entries <= sizes.Entries {
			at = i
		}
	}
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
		if err := t.openOlder(); err != nil {
			return err
		}
		t.growOrTell()
	}
}

// growOrTell makes larger tables, and says what became of it. After a failure it does nothing
// for a while.
func (t *Table) growOrTell() {
	t.growing.Lock()
	defer t.growing.Unlock()
	if time.Now().Before(t.growWait) {
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
	err := t.afford(t.shape.bytes(t.shape.steps[next]) - t.shape.bytes(has))
	if err == nil {
		err = t.makeTables(next)
	}
	if err != nil && int(t.step.Load()) != next {
		t.mu.Lock()
		defer t.mu.Unlock()
		return true, errors.Join(err, t.setSizes(has, has.connections)) // fewer may be half open
	}
	return true, err
}

// openOlder has connections entered into all older tables where the newest was full and one of
// them had been left.
func (t *Table) openOlder() error {
	var limits abi.BpfConnLimits
	if err := t.maps.ConnLimits.Lookup(uint32(0), &limits); err != nil {
		return fmt.Errorf("read whether connections were refused: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if limits.Refused == 0 {
		return nil
	}
	return t.setOlder(t.has().olderTables())
}

// leaveEmpty has connections looked for no more in older tables that have none, after a sweep
// that has met so many with an expiry entry in each. It waits until there is much room in the
// newest table: none is entered into an older one then.
func (t *Table) leaveEmpty(met [len(abi.BpfSweep{}.InTables)]uint32) error {
	sizes := t.sizes.Wrote()[0]
	if sizes.Older == 0 || 4*t.Live() > int(t.shape.tables[sizes.Newest]) {
		return nil
	}
	older := sizes.Older
	for at, table := range t.Tables()[:sizes.Newest] {
		if older>>at&1 == 0 || met[at] > 0 {
			continue
		}
		var key abi.BpfFlowKey
		switch err := table.NextKey(nil, &key); {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			older &^= 1 << at
		case err != nil:
			return fmt.Errorf("look whether table %d of connections is empty: %w", at, err)
		}
	}
	return t.setOlder(older)
}

// setOlder tells the programs in which older tables connections are looked for.
func (t *Table) setOlder(older uint32) error {
	sizes := t.sizes.Wrote()[0]
	if sizes.Older == older {
		return nil
	}
	sizes.Older = older
	if err := t.sizes.Put(0, sizes); err != nil {
		return fmt.Errorf("tell which tables have connections: %w", err)
	}
	return nil
}

// has is how large the tables are.
func (t *Table) has() step { return t.shape.steps[t.step.Load()] }

// entries is how many expiry entries there are.
func (t *Table) entries() uint32 { return t.has().expiryChunks * t.shape.expiryEach }

// crowded says whether a quarter of the expiry entries is taken, so that larger tables are to be
// made, where there are such.
func (t *Table) crowded() bool {
	return int(t.step.Load())+1 < len(t.shape.steps) && t.Live() >= int(t.entries()/4)
}

// makeTables makes what is lacking of the tables of a step, and puts them in force: first those
// that make room for connections.
func (t *Table) makeTables(to int) error {
	s := t.shape.steps[to]
	var rooms errgroup.Group
	rooms.SetLimit(madeAtOnce)
	t.makeRooms(s, &rooms, nil)
	if err := rooms.Wait(); err != nil {
		return err
	}
	if err := t.openTables(s.tables); err != nil {
		return err
	}
	t.mu.Lock()
	err := t.setSizes(s, t.shape.last().connections)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	t.step.Store(int32(to))
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
	if err := t.settleFlows(); err != nil {
		return err
	}
	t.flows.Chunks = s.flowChunks - 1
	return t.putFlows()
}

// RepairTables makes those tables again that somebody else took away, and tells of each by its
// kind and its place. Connections go on in their own table; what chunks held is lost.
func (t *Table) RepairTables(told func(kind, what string)) error {
	t.growing.Lock()
	defer t.growing.Unlock()
	for at, table := range t.Tables() {
		there, err := innerMap(t.maps.ConnTables, uint32(at))
		if err != nil {
			return err
		}
		if there != nil {
			there.Close()
			continue
		}
		told(abi.BpfMapConnTables, fmt.Sprintf("table %d", at))
		if err := t.maps.ConnTables.Put(uint32(at), table); err != nil {
			return fmt.Errorf("put table %d of connections back: %w", at, err)
		}
	}
	var missing errgroup.Group
	missing.SetLimit(madeAtOnce)
	made := func(name string, at uint32) { told(name, fmt.Sprintf("chunk %d", at)) }
	t.makeRooms(t.has(), &missing, made)
	t.makeFlowChunks(t.has(), &missing, made)
	return missing.Wait()
}

// makeRooms makes what is lacking of a step's tables of connections and their expiry entries, and
// tells of each, unless made is nil.
func (t *Table) makeRooms(s step, tasks *errgroup.Group, made func(name string, at uint32)) {
	for i, n := range t.shape.tables[:s.tables] {
		tasks.Go(func() error { return t.makeOne(t.maps.ConnTables, abi.BpfMapConnTables, uint32(i), n, made) })
	}
	for chunk := range s.expiryChunks {
		tasks.Go(func() error {
			return t.makeOne(t.maps.ExpiryChunks, abi.BpfMapExpiryChunks, chunk, t.shape.expiryEach, made)
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

// setSizes tells the programs how large the tables are, and that a part of so many connections
// may be half open. What was the newest table may have connections.
func (t *Table) setSizes(s step, connections uint32) error {
	was := t.sizes.Wrote()[0]
	if err := t.sizes.Put(0, t.shape.sizes(s, connections, was.Older|1<<was.Newest)); err != nil {
		return fmt.Errorf("tell how large the tables of connections are: %w", err)
	}
	return nil
}

// settleFlows has each connection know when it was last used as its lines of the flow cache do.
func (t *Table) settleFlows() error {
	each := uint32(1) << t.shape.flowBits
	for chunk := range t.shape.last().flowChunks * t.shape.cpus {
		if there, err := innerMap(t.maps.FlowChunks, chunk); err != nil {
			return err
		} else if there == nil {
			continue
		} else {
			there.Close()
		}
		for first := uint32(0); first < each; first += pairsAtATime {
			args := abi.BpfFlowPairs{Chunk: chunk, First: first, Pairs: min(pairsAtATime, each-first)}
			if _, err := t.programs.Settle.Run(&ebpf.RunOptions{Context: args}); err != nil {
				return fmt.Errorf("store when connections were last used: %w", err)
			}
		}
	}
	return nil
}
