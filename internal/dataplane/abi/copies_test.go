package abi_test

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"weir/internal/dataplane/abi"
)

// byteCopies is how many bytes may be copied one after the other: where the compiler does not know
// how two places are aligned, it copies all of a struct or an array so, at up to eight times the cost.
const byteCopies = 3

// No program copies many bytes one by one.
func TestNoCopiesByteByByte(t *testing.T) {
	spec, err := abi.LoadBpf()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range spec.Programs {
		copies, loaded := 0, false // the last instruction has loaded a byte, into register
		var register asm.Register
		for _, i := range program.Instructions {
			class, isByte := i.OpCode.Class(), i.OpCode.Size() == asm.Byte
			switch {
			case class == asm.LdXClass && isByte:
				loaded, register = true, i.Dst
				continue
			case class == asm.StXClass && isByte && loaded && i.Src == register:
				if copies++; copies > byteCopies {
					t.Errorf("%s: %v: more than %d bytes are copied one by one", name, i, byteCopies)
				}
			default:
				copies = 0
			}
			loaded = false
		}
	}
}
