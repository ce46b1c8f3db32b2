package attach

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// tail is the program that the one at egress calls for what this machine sends
// itself.
type tail struct {
	program ebpf.ProgramID // that belongs in its place; 0: none yet
	// adopted is true while an earlier process's program is in force that this one would not have
	// loaded. Run replaces it later: a process that takes over must not wait for the verifier.
	// Where there are tables of an older build, Set does.
	adopted bool
}

// takeUpTail takes up the program that an earlier process has put there.
func (a *Devices) takeUpTail() (err error) {
	if a.tail.program, err = a.LocalProgram(); err != nil || a.tail.program == 0 {
		return err
	}
	key := programKey{name: abi.BpfProgWeirLocalOut}
	left, err := a.takeLeft(key)
	if err != nil {
		return err
	}
	if left != nil {
		a.keepProgram(key, left.Program)
	}
	a.tail.adopted = left == nil || left.id != a.tail.program
	return nil
}

// LocalProgram is the program that is called at egress for local traffic, as the
// kernel has it; 0 is none.
func (a *Devices) LocalProgram() (ebpf.ProgramID, error) {
	var id uint32
	if err := a.maps.Tails.Lookup(uint32(0), &id); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, fmt.Errorf("look up the program that is called at egress: %w", err)
	}
	return ebpf.ProgramID(id), nil
}

// setTail loads it, if need be, and puts it in its place.
func (a *Devices) setTail() error {
	program, err := a.program(programKey{name: abi.BpfProgWeirLocalOut})
	if err != nil {
		return err
	}
	id, err := idOf(program)
	if err != nil {
		return err
	}
	if err := a.maps.Tails.Put(uint32(0), program); err != nil {
		return fmt.Errorf("have it called at egress: %w", err)
	}
	a.tail.program = id
	a.tail.adopted = false
	return nil
}

// Renew replaces the program for local traffic that an earlier process had loaded, after a
// delay, or not at all where ctx ends before. Verifying the program keeps a CPU busy, which
// a lease that is about to run out needs more.
func (a *Devices) Renew(ctx context.Context, after time.Duration) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(after):
	}
	a.mu.Lock()
	adopted := a.tail.adopted
	a.mu.Unlock()
	if !adopted {
		return
	}
	program, err := a.loadProgram(programKey{name: abi.BpfProgWeirLocalOut})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.keepProgram(programKey{name: abi.BpfProgWeirLocalOut}, program)
		err = a.setTail()
	}
	if err != nil {
		a.log.Error("renew the program for what this machine sends itself", "error", err)
	}
}

// repairTail puts the program for local traffic back where something else is.
func (a *Devices) repairTail() {
	if a.tail.program == 0 {
		return
	}
	now, err := a.LocalProgram()
	if err != nil {
		a.noteFailure(abi.BpfMapTails, err)
	} else if now != a.tail.program {
		a.ledger.Note(abi.BpfMapTails, abi.BpfProgWeirLocalOut, a.setTail())
	}
}
