package abi

import (
	"testing"

	"github.com/cilium/ebpf"
)

// A table of the object that Maps did not have would be one of its own in each program, and would
// not outlive the process.
func TestMapsHasEveryPinnedTable(t *testing.T) {
	spec, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	has := new(Maps).InObject()
	for name, table := range spec.Maps {
		if _, ok := has[name]; !ok && table.Pinning == ebpf.PinByName {
			t.Errorf("Maps does not have the object's %s", name)
		}
	}
	for name := range has {
		if spec.Maps[name] == nil {
			t.Errorf("the object has no %s, which Maps has", name)
		}
	}
}
