// Package kmap has what the parts of the data plane share to work with tables in the
// kernel: mirrors of what was written to them, and pins in the bpf file system.
package kmap

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

// Mirror is a table together with what this process wrote to it, so that what others write
// is found and undone. All methods but Repair are called with the lock that Add was given.
type Mirror[K, V comparable] struct {
	table *ebpf.Map
	lock  sync.Locker
	// array tables have every key up to their size; the zero value is none.
	array bool
	wrote map[K]V
	top   uint32            // the highest key that was written to an array
	name  func(K, V) string // of an entry, for people
	ours  func(V) V         // the part of a value that only Go writes; nil: all of it
	// gathered are the entries that are to be written together; nil where Put writes each at once.
	gathered *entries[K, V]
}

type entries[K, V comparable] struct {
	keys   []K
	values []V
}

// mirrorChunk is how many entries are read at a time at most, mirrorLeast how many at least:
// those that the kernel keeps in one bucket are read together.
const mirrorChunk, mirrorLeast = 2048, 256

// newMirror begins with what an earlier process left in the table, as if this process had
// written it; an empty one is not read.
func newMirror[K, V comparable](table *ebpf.Map, empty bool, lock sync.Locker, name func(K, V) string) (*Mirror[K, V], error) {
	m := &Mirror[K, V]{table: table, lock: lock, array: table.Type() == ebpf.Array, wrote: map[K]V{}, name: name}
	if m.name == nil {
		m.name = func(k K, _ V) string { return fmt.Sprint(k) }
	}
	if empty {
		return m, nil
	}
	m.top = table.MaxEntries()
	err := m.scan(func(k K, v V) {
		if !m.array || v != *new(V) {
			m.wrote[k] = v
		}
	}, func() {})
	m.top = 0
	for k := range m.wrote {
		m.noteTop(k)
	}
	return m, err
}

func (m *Mirror[K, V]) noteTop(k K) {
	if i, ok := any(k).(uint32); ok && m.array {
		m.top = max(m.top, i)
	}
}

// Gather has Put write many entries by one call, the last of them by Flush. The caller keeps the
// lock meanwhile, and drops nothing.
func (m *Mirror[K, V]) Gather() { m.gathered = &entries[K, V]{} }

// Flush writes what Put has left. With an error some of it may not be written yet, which Repair
// finds. Its errors are those of ebpf.Map.BatchUpdate.
func (m *Mirror[K, V]) Flush() error {
	err := m.writeGathered()
	m.gathered = nil
	return err
}

func (m *Mirror[K, V]) writeGathered() error {
	all := m.gathered
	if all == nil || len(all.keys) == 0 {
		return nil
	}
	_, err := m.table.BatchUpdate(all.keys, all.values, nil)
	if err != nil {
		err = fmt.Errorf("write %d entries: %w", len(all.keys), err)
	}
	all.keys, all.values = all.keys[:0], all.values[:0]
	return err
}

// Put writes an entry. Its errors are those of ebpf.Map.Put, after Gather those of Flush.
func (m *Mirror[K, V]) Put(k K, v V) (err error) {
	if all := m.gathered; all == nil {
		if err = m.table.Put(k, v); err != nil {
			return err
		}
	} else if all.keys, all.values = append(all.keys, k), append(all.values, v); len(all.keys) == mirrorChunk {
		err = m.writeGathered()
	}
	m.wrote[k] = v
	m.noteTop(k)
	return err
}

// Drop removes an entry; one of an array it clears. An entry that is not there is no
// error.
func (m *Mirror[K, V]) Drop(k K) error {
	if err := m.remove(k); err != nil {
		return err
	}
	delete(m.wrote, k)
	return nil
}

// Wrote is what this process, or the one before it, wrote, by key. The caller does
// not change it.
func (m *Mirror[K, V]) Wrote() map[K]V { return m.wrote }

// Ours limits what Repair compares and writes back to the part of a value that only
// Go writes.
func (m *Mirror[K, V]) Ours(part func(V) V) { m.ours = part }

func (m *Mirror[K, V]) remove(k K) error {
	if m.array {
		return m.table.Put(k, *new(V))
	}
	if err := m.table.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// scan reads the table, an array up to the last entry that was ever written, and
// calls between after each chunk.
func (m *Mirror[K, V]) scan(each func(K, V), between func()) error {
	most := 2 * len(m.wrote)
	if m.array {
		most = int(m.top) + 1
	}
	size := min(mirrorChunk, int(m.table.MaxEntries()), max(mirrorLeast, most))
	keys, values := make([]K, size), make([]V, size)
	for cursor := (ebpf.MapBatchCursor{}); ; between() {
		n, err := m.table.BatchLookup(&cursor, keys, values, nil)
		end := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !end {
			return fmt.Errorf("read the table: %w", err)
		}
		for i, k := range keys[:n] {
			each(k, values[i])
		}
		if end || n == 0 {
			return nil
		}
		if last, ok := any(keys[n-1]).(uint32); ok && m.array && last >= m.top {
			return nil
		}
	}
}

// Repair finds what differs from what was written, writes it back, and notes each
// entry with the error of that. It takes the mirror's lock, and releases it between
// the chunks of an array; another table is read in one go, so that its entries can be
// counted. It returns an error where the table cannot be read.
func (m *Mirror[K, V]) Repair(note func(name string, err error)) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	met, drifted := 0, map[K]V{} // with the values that were found
	settle := func() {
		for k, found := range drifted {
			want, wrote := m.wrote[k]
			if wrote {
				note(m.name(k, want), m.table.Put(k, want))
			} else {
				note(m.name(k, found), m.remove(k))
			}
		}
		clear(drifted)
	}
	err := m.scan(func(k K, found V) {
		want, wrote := m.wrote[k]
		if wrote {
			met++
		}
		if (wrote || m.array) && m.part(want) == m.part(found) {
			return
		}
		drifted[k] = found
	}, func() {
		if m.array {
			settle()
			m.lock.Unlock()
			m.lock.Lock()
		}
	})
	if err != nil {
		return err
	}
	if !m.array && met < len(m.wrote) {
		err = m.missing(drifted)
	}
	settle()
	return err
}

func (m *Mirror[K, V]) part(v V) V {
	if m.ours == nil {
		return v
	}
	return m.ours(v)
}

// missing adds the entries that were written and are not there. It reads all of
// them again: a look-up in a table of prefixes would find a shorter one.
func (m *Mirror[K, V]) missing(drifted map[K]V) error {
	there := map[K]bool{}
	if err := m.scan(func(k K, _ V) { there[k] = true }, func() {}); err != nil {
		return err
	}
	for k := range m.wrote {
		if !there[k] {
			drifted[k] = *new(V)
		}
	}
	return nil
}

// Mirrors are mirrors of different types in the order of their repair: a table stands
// before the tables that refer to it.
type Mirrors struct {
	// Empty says that the tables have just been made: nothing is in them.
	Empty bool
	all   []Mirrored
	err   error
}

// Mirrored is a mirror, and the name of its table.
type Mirrored struct {
	Kind string
	repairer
}

type repairer interface {
	Repair(note func(name string, err error)) error
}

// All are the mirrors in the order of their repair.
func (m *Mirrors) All() []Mirrored { return m.all }

// Err is the first error of Add.
func (m *Mirrors) Err() error { return m.err }

// Add makes the mirror of a table, which begins with what an earlier process left
// there. The lock guards the mirror and the table's contents. Name tells people which
// entry it is; nil is by its key.
func Add[K, V comparable](to *Mirrors, kind string, table *ebpf.Map, lock sync.Locker, name func(K, V) string) *Mirror[K, V] {
	m, err := newMirror(table, to.Empty, lock, name)
	if err != nil && to.err == nil {
		to.err = fmt.Errorf("take up %s: %w", kind, err)
	}
	to.all = append(to.all, Mirrored{kind, m})
	return m
}
