package kmap

import (
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// Whatever somebody else changes in a table is found and written back, each entry
// noted once, and then nothing is found any more.
func TestRepair(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.Array} {
		t.Run(kind.String(), func(t *testing.T) {
			table, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: 5000})
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			var all Mirrors
			var lock sync.Mutex
			m := Add[uint32, uint64](&all, "numbers", table, &lock, nil)
			for i := range uint32(10) {
				if err := m.Put(i, uint64(100+i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(m.Drop(3), m.Drop(3), all.Err()); err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(m.Wrote())
			if len(want) != 9 {
				t.Fatalf("wrote %v, want nine entries", want)
			}
			if err := errors.Join(table.Put(uint32(1), uint64(7)), table.Put(uint32(3), uint64(7)), m.remove(5)); err != nil {
				t.Fatal(err)
			}
			for _, wanted := range []map[string]bool{{"1": true, "3": true, "5": true}, {}} {
				noted := map[string]bool{}
				for _, one := range all.All() {
					if err := one.Repair(func(name string, err error) { noted[name] = err == nil }); err != nil {
						t.Fatal(err)
					}
				}
				if !maps.Equal(noted, wanted) {
					t.Errorf("noted %v, want %v", noted, wanted)
				}
			}
			next := Add[uint32, uint64](&Mirrors{}, "numbers", table, &lock, nil)
			if !maps.Equal(next.Wrote(), want) {
				t.Errorf("the next process takes up %v, want %v", next.Wrote(), want)
			}
		})
	}
}

// What is gathered is written many entries at once, the last of each entry's values and the rest
// by Flush, and is as if it had been written one by one.
func TestGather(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.Array} {
		t.Run(kind.String(), func(t *testing.T) {
			table, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: 8, MaxEntries: 2 * mirrorChunk})
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			var lock sync.Mutex
			m := Add[uint32, uint64](&Mirrors{}, "numbers", table, &lock, nil)
			m.Gather()
			for i := range uint32(mirrorChunk + 10) {
				if err := m.Put(i, uint64(100+i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Put(3, 7); err != nil {
				t.Fatal(err)
			}
			var found uint64
			if err := table.Lookup(uint32(mirrorChunk+1), &found); err == nil && found != 0 {
				t.Errorf("an entry is %d before Flush", found)
			}
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
			next := Add[uint32, uint64](&Mirrors{}, "numbers", table, &lock, nil)
			if want := m.Wrote(); want[3] != 7 || len(want) != mirrorChunk+10 || !maps.Equal(next.Wrote(), want) {
				t.Errorf("the table has %d entries and %d in the place of 7, want %d entries", len(next.Wrote()), next.Wrote()[3], len(want))
			}
			if err := m.Put(4, 8); err != nil {
				t.Fatal(err)
			}
			if err := table.Lookup(uint32(4), &found); err != nil || found != 8 {
				t.Errorf("after Flush an entry is %d, want 8: %v", found, err)
			}
		})
	}
}
