package service

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// The layout of a load. Go maps the memory of all: it writes weights, weir_limits the
// thresholds, and the data plane the rest.
const (
	loadSize     = int64(unsafe.Sizeof(abi.BpfLoad{}))
	atWeight     = int64(unsafe.Offsetof(abi.BpfLoad{}.Weight))
	atUpper      = int64(unsafe.Offsetof(abi.BpfLoad{}.Upper))
	atLower      = int64(unsafe.Offsetof(abi.BpfLoad{}.Lower))
	atPersistent = int64(unsafe.Offsetof(abi.BpfLoad{}.Persistent))
)

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
		if _, err := r.loads.WriteAt(weight, int64(s.index)*loadSize+atWeight); err != nil {
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
	var b [loadSize]byte
	if _, err := r.loads.ReadAt(b[:], int64(index)*loadSize); err != nil {
		return limits{}, fmt.Errorf("read the weight and thresholds of server %d: %w", index, err)
	}
	word := func(at int64) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	return limits{word(atWeight), word(atUpper), word(atLower)}, nil
}

// Persistent says whether there is a template of any server.
func (r *Registry) Persistent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mayPersist {
		return false
	}
	var b [4]byte
	for _, s := range r.servers {
		if _, err := r.loads.ReadAt(b[:], int64(s.index)*loadSize+atPersistent); err != nil || b != [4]byte{} {
			return true
		}
	}
	r.mayPersist = false
	for _, s := range r.services {
		// One of an earlier process that was not entered anew may be persistent, too.
		r.mayPersist = r.mayPersist || s.present && (s.written == nil || s.written.Persistence.Timeout > 0)
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
