package dataplane

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"weir/internal/dataplane/abi"
)

// A BPF program has 512 bytes of stack through all calls, and Linux 6.1 rounds
// each function's up to 32 (check_max_stack_depth, kernel/bpf/verifier.c), later
// kernels to 16 where they compile: what is too much only there is found here.
const (
	stackBytes = 512
	stackRound = 32
)

func TestStackFitsLinux61(t *testing.T) {
	spec, err := abi.LoadBpf()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range spec.Programs {
		functions := functionsOf(program.Instructions)
		bytes, way := deepest(functions, name)
		t.Logf("%s: %d bytes through %v", name, bytes, way)
		if bytes > stackBytes {
			t.Errorf("%s has %d bytes of stack through %v, at most %d are allowed: move something to struct work, "+
				"or have a function take less", name, bytes, way, stackBytes)
		}
	}
}

// function is one's own stack, and which functions it calls or hands to a helper.
type function struct {
	stack int
	calls map[string]bool
}

func functionsOf(instructions asm.Instructions) map[string]*function {
	all, f := map[string]*function{}, &function{}
	var frame asm.Register // that was given the frame's address last
	for _, i := range instructions {
		if name := i.Symbol(); name != "" {
			f = &function{calls: map[string]bool{}}
			all[name] = f
		}
		class := i.OpCode.Class()
		switch {
		case i.IsFunctionCall() || i.IsLoadOfFunctionPointer():
			f.calls[i.Reference()] = true
		case class == asm.LdXClass && i.Src == asm.R10, (class == asm.StXClass || class == asm.StClass) && i.Dst == asm.R10:
			f.stack = max(f.stack, -int(i.Offset))
		case i.OpCode.ALUOp() == asm.Mov && i.OpCode.Source() == asm.RegSource && i.Src == asm.R10:
			frame = i.Dst
		case class.IsALU() && i.OpCode.ALUOp() == asm.Add && i.OpCode.Source() == asm.ImmSource && i.Dst == frame && i.Constant < 0:
			f.stack = max(f.stack, -int(i.Constant))
			frame = asm.R10
		}
	}
	return all
}

// deepest is the most stack that a function and what it calls may take.
func deepest(all map[string]*function, name string) (bytes int, way []string) {
	f := all[name]
	for called := range f.calls {
		if b, w := deepest(all, called); b > bytes {
			bytes, way = b, w
		}
	}
	own := max(f.stack+stackRound-1, stackRound) / stackRound * stackRound
	return own + bytes, append([]string{name}, way...)
}
