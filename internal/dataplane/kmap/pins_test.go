package kmap

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// Pins are looked at one by one only where something in their folder has changed: a look at
// an unchanged folder finds nothing, and one behind a change finds what was unpinned.
func TestPinsAreLookedAtAfterAChange(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(bpfRoot, fmt.Sprintf("weirt-%d-pins", os.Getpid()))
	if err := MakePinDir(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := table.Pin(filepath.Join(dir, "numbers")); err != nil {
		t.Fatal(err)
	}
	pins, err := NewPins(dir, map[string]*ebpf.Map{"numbers": table}, nil)
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	look := func() { pins.Repair(func(string, error) { noted++ }) }
	for round := range 3 {
		time.Sleep(2 * folderTick)
		look()
		look()
		if now, err := folderTimeOf(dir); err != nil || !now.same(pins.kept) {
			t.Errorf("round %d: an unchanged folder is looked at again: %v", round, err)
		}
		if err := os.Remove(filepath.Join(dir, "numbers")); err != nil {
			t.Fatal(err)
		}
		if look(); noted != round+1 {
			t.Errorf("round %d: %d pins were found to be lost", round, noted)
		}
		if err := os.Remove(filepath.Join(dir, "numbers")); err != nil { // within the same tick of the clock
			t.Fatal(err)
		}
		if look(); noted != round+2 {
			t.Errorf("round %d: %d pins were found to be lost right behind a change", round, noted)
		}
		noted--
	}
}
