package floor

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Instructions counts the instructions of each program in an object file, the
// functions that it calls included.
func Instructions(object string) (map[string]int, error) {
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", object, err)
	}
	counts := map[string]int{}
	for name, program := range spec.Programs {
		counts[name] = len(program.Instructions)
	}
	return counts, nil
}
