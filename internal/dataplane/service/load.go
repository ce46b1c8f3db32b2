package service

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// loadSize is that of struct load (bpf/abi.h). It begins with the weight, which Go
// writes, and the thresholds, which weir_limits does.
const loadSize = 32

// limits are what Go writes beside a server's live counts.
type limits struct {
	weight, upper, lower uint32
}

func limitsOf(rs lvs.RealServer) limits { return limits{uint32(rs.Weight), rs.Upper, rs.Lower} }

// setLimits writes a server's weight and thresholds.
func (r *Registry) setLimits(s *server, to limits) error {
	now, err := r.limitsNow(s.index)
	if err != nil {
		return err
	}
	s.limits = to
	if now.weight != to.weight {
		weight := binary.NativeEndian.AppendUint32(nil, to.weight)
		if _, err := r.loads.WriteAt(weight, int64(s.index)*loadSize); err != nil {
			return fmt.Errorf("set the weight of server %d: %w", s.index, err)
		}
	}
	if now.upper == to.upper && now.lower == to.lower {
		return nil
	}
	if _, err := r.limits.Run(&ebpf.RunOptions{Context: abi.BpfLimits{Server: s.index, Upper: to.upper, Lower: to.lower}}); err != nil {
		return fmt.Errorf("set the thresholds of server %d: %w", s.index, err)
	}
	return nil
}

// limitsNow reads them.
func (r *Registry) limitsNow(index uint32) (limits, error) {
	var b [12]byte
	if _, err := r.loads.ReadAt(b[:], int64(index)*loadSize); err != nil {
		return limits{}, fmt.Errorf("read the weight and thresholds of server %d: %w", index, err)
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	return limits{word(0), word(1), word(2)}, nil
}

// Persistent says whether there is a template of any server.
func (r *Registry) Persistent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	const at = 24 // struct load's count of them
	var b [4]byte
	for _, s := range r.servers {
		if _, err := r.loads.ReadAt(b[:], int64(s.index)*loadSize+at); err != nil || b != [4]byte{} {
			return true
		}
	}
	return false
}

// Remembers says whether a service's scheduler remembers destinations.
func (r *Registry) Remembers() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		if remembers(s.scheduler) {
			return true
		}
	}
	return false
}

func remembers(scheduler lvs.Scheduler) bool {
	row, _ := sched.RowOf(scheduler)
	return row.Traits.Remembers
}
