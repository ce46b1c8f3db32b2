package conn

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// older is what is known of the tables of an older build, which had connections in hash tables
// (conn/older.h of bpf/).
type older struct {
	taking sync.Mutex  // one TakeOver at a time
	from   atomic.Bool // there are such tables, which may have connections
	// programs is what the programs are told of them (OLDER_LOOK and so on); guarded by Table.mu.
	programs uint32
}

// olderAtOnce is how many connections of a table are read at once, olderRounds how often the
// tables are gone through where connections have found no room.
const olderAtOnce, olderRounds = 4096, 4

// OlderFits says whether a table is an older build's table of tables of connections as this build
// can take them over.
func OlderFits(outer *ebpf.Map) error {
	if outer.Type() != ebpf.ArrayOfMaps || outer.MaxEntries() != abi.OlderTables {
		return fmt.Errorf("%w: %v", ebpf.ErrMapIncompatible, outer)
	}
	return eachOlder(outer, func(table *ebpf.Map) error {
		key, value := uint32(unsafe.Sizeof(abi.BpfFlowKey{})), uint32(unsafe.Sizeof(abi.BpfOlderConn{}))
		if table.Type() != ebpf.Hash || table.KeySize() != key || table.ValueSize() != value {
			return fmt.Errorf("%w: %v", ebpf.ErrMapIncompatible, table)
		}
		return nil
	})
}

// eachOlder goes through an older build's tables of connections.
func eachOlder(outer *ebpf.Map, do func(table *ebpf.Map) error) error {
	for at := range uint32(abi.OlderTables) {
		table, err := innerMap(outer, at)
		if err != nil {
			return err
		}
		if table == nil {
			continue
		}
		err = do(table)
		table.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// roomForOlder is the step that the tables begin with, at least the one with this index: as large
// as those of the older build were, or as large as there is memory for. From then on the programs
// look into those.
func (t *Table) roomForOlder(least int) (int, error) {
	if !t.older.from.Load() {
		return least, nil
	}
	t.mu.Lock()
	t.older.programs = abi.OlderLook | abi.OlderKeep
	t.mu.Unlock()
	room := uint32(0)
	err := eachOlder(t.maps.OlderTables, func(table *ebpf.Map) error {
		room += table.MaxEntries()
		return nil
	})
	at := least
	for at < len(t.shape.steps)-1 && t.shape.steps[at].connections < room {
		if t.afford(t.shape.bytes(t.shape.steps[at+1])-t.shape.bytes(t.shape.steps[least])) != nil {
			break // they grow as connections are taken over
		}
		at++
	}
	return at, err
}

// TakeOver takes over the connections of an older build that no packet has asked for yet. Last says
// that none of its programs is on a device any more: then nothing is left of its connections. It
// returns whether there was anything to do. Without last it does this once: then a packet has each
// of the others taken over.
func (t *Table) TakeOver(last bool) (took bool, err error) {
	t.older.taking.Lock()
	defer t.older.taking.Unlock()
	if !t.older.from.Load() || !last && t.older.programs&abi.OlderKeep == 0 {
		return false, nil
	}
	begun := time.Now()
	t.growing.Lock()
	err = t.waitForPrograms() // of the older build, which may begin connections
	t.growing.Unlock()
	if err != nil {
		return false, err
	}
	taken, failed, err := t.takeAll()
	if err != nil {
		return false, err
	}
	if err := t.settleOlder(last); err != nil {
		return false, err
	}
	if !last {
		return true, nil
	}
	if failed > 0 {
		t.log.Warn("connections of an older build found no room, and are lost", "connections", failed)
	}
	t.log.Info("connections of an older build were taken over", "connections", taken, "took", time.Since(begun))
	t.older.from.Store(false)
	return true, nil
}

// takeAll goes through the older tables, newer ones first. It returns how many connections have
// been taken over by now, and how many found no room.
func (t *Table) takeAll() (taken, failed int, err error) {
	for range olderRounds {
		taken, failed = 0, 0
		err = eachOlder(t.maps.OlderTables, func(table *ebpf.Map) error {
			n, lacking, err := t.takeFrom(table)
			taken, failed = taken+n, failed+lacking
			return err
		})
		if err != nil || failed == 0 {
			return taken, failed, err
		}
		t.growOrTell(func() bool { return true })
	}
	return taken, failed, nil
}

// takeFrom does that for one table.
func (t *Table) takeFrom(table *ebpf.Map) (taken, failed int, err error) {
	keys, conns := make([]abi.BpfFlowKey, olderAtOnce), make([]abi.BpfOlderConn, olderAtOnce)
	var some abi.BpfOlderKeys
	take := func() error {
		if _, err := t.programs.TakeOlder.Run(&ebpf.RunOptions{Context: some, ContextOut: &some}); err != nil {
			return fmt.Errorf("take connections of an older build over: %w", err)
		}
		taken, failed = taken+int(some.Keys-some.Failed), failed+int(some.Failed)
		some.Keys = 0
		return nil
	}
	for cursor := (ebpf.MapBatchCursor{}); ; {
		n, err := table.BatchLookup(&cursor, keys, conns, nil)
		end := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !end {
			return taken, failed, fmt.Errorf("read the connections of an older build: %w", err)
		}
		for i, c := range conns[:n] {
			switch {
			case !(abi.BpfConn{Word: c.Word}).Lives(): // nor is an entry for answers, by the number of its state
			case c.Expiry>>abi.OlderTableShift == abi.OlderTables:
				taken++
			default:
				some.Key[some.Keys] = keys[i]
				if some.Keys++; some.Keys == abi.OlderAtATime {
					if err := take(); err != nil {
						return taken, failed, err
					}
				}
			}
		}
		if end || n == 0 {
			return taken, failed, take()
		}
	}
}

// settleOlder has the connections know when they were last used, as the flow cache does, in which
// the older build had its lines in other places. Then they may expire. With last the programs look
// into the older tables no more, which are taken away.
func (t *Table) settleOlder(last bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.settleFlows(false); err != nil {
		return err
	}
	t.older.programs = abi.OlderLook
	if last {
		t.older.programs = 0
	}
	sizes := t.sizes.Wrote()[0]
	sizes.Older = t.older.programs
	if err := t.sizes.Put(0, sizes); err != nil {
		return fmt.Errorf("tell that connections have been taken over: %w", err)
	}
	if err := t.forgetFlows(); err != nil {
		return err
	}
	t.expiry.end = t.entries() // connections may be in any slot
	if !last {
		return nil
	}
	for at := range uint32(abi.OlderTables) {
		if err := t.maps.OlderTables.Delete(at); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("take the tables of an older build away: %w", err)
		}
	}
	return nil
}
