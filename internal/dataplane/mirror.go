package dataplane

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

// mirror is a table together with what this process wrote to it, so that what
// others write is found and undone. It is guarded by the lock that guards the
// writing.
type mirror[K, V comparable] struct {
	table *ebpf.Map
	// array tables have every key up to their size; the zero value is none.
	array bool
	wrote map[K]V
	top   uint32 // the highest key that was written to an array
	// name tells people which entry it is.
	name func(K, V) string
	// ours is the part of a value that only Go writes; nil is all of it.
	ours func(V) V
}

// mirrorChunk is how many entries are read at a time.
const mirrorChunk = 2048

// newMirror begins with what an earlier process left in the table, which is
// taken for written.
func newMirror[K, V comparable](table *ebpf.Map, name func(K, V) string) (*mirror[K, V], error) {
	m := &mirror[K, V]{table: table, array: table.Type() == ebpf.Array, wrote: map[K]V{}, name: name}
	if m.name == nil {
		m.name = func(k K, _ V) string { return fmt.Sprint(k) }
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

func (m *mirror[K, V]) noteTop(k K) {
	if i, ok := any(k).(uint32); ok && m.array {
		m.top = max(m.top, i)
	}
}

// put writes an entry.
func (m *mirror[K, V]) put(k K, v V) error {
	if err := m.table.Put(k, v); err != nil {
		return err
	}
	m.wrote[k] = v
	m.noteTop(k)
	return nil
}

// drop removes an entry; one of an array it clears.
func (m *mirror[K, V]) drop(k K) error {
	if err := m.remove(k); err != nil {
		return err
	}
	delete(m.wrote, k)
	return nil
}

func (m *mirror[K, V]) remove(k K) error {
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
func (m *mirror[K, V]) scan(each func(K, V), between func()) error {
	size := min(mirrorChunk, int(m.table.MaxEntries()))
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

// repair finds what differs from what was written, undoes it, and notes each. The
// lock is let go between the chunks of an array; the entries of another table are
// counted, and so are read in one go.
func (m *mirror[K, V]) repair(lock sync.Locker, note func(name string, err error)) error {
	lock.Lock()
	defer lock.Unlock()
	met, astray := 0, map[K]V{} // with the values that were found
	settle := func() {
		for k, found := range astray {
			want, wrote := m.wrote[k]
			if wrote {
				note(m.name(k, want), m.table.Put(k, want))
			} else {
				note(m.name(k, found), m.remove(k))
			}
		}
		clear(astray)
	}
	err := m.scan(func(k K, found V) {
		want, wrote := m.wrote[k]
		if wrote {
			met++
		}
		if (wrote || m.array) && m.part(want) == m.part(found) {
			return
		}
		astray[k] = found
	}, func() {
		if m.array {
			settle()
			lock.Unlock()
			lock.Lock()
		}
	})
	if err != nil {
		return err
	}
	if !m.array && met < len(m.wrote) {
		err = m.missing(astray)
	}
	settle()
	return err
}

func (m *mirror[K, V]) part(v V) V {
	if m.ours == nil {
		return v
	}
	return m.ours(v)
}

// missing adds the entries that were written and are not there. It reads all of
// them again: a look-up in a table of prefixes would find a shorter one.
func (m *mirror[K, V]) missing(astray map[K]V) error {
	there := map[K]bool{}
	if err := m.scan(func(k K, _ V) { there[k] = true }, func() {}); err != nil {
		return err
	}
	for k := range m.wrote {
		if !there[k] {
			astray[k] = *new(V)
		}
	}
	return nil
}
