package dataplane

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"weir/lvs"
)

// The layout of struct load (bpf/abi.h): Go writes the weight at its head, the
// data plane what follows: the thresholds first.
const (
	loadSize   = 32
	loadWeight = 4
)

// setLimits writes a server's weight and thresholds beside its live counts.
func (p *Plane) setLimits(index uint32, rs lvs.RealServer) error {
	at := int64(index) * loadSize
	if _, err := p.loads.WriteAt(binary.NativeEndian.AppendUint32(nil, uint32(rs.Weight)), at); err != nil {
		return fmt.Errorf("set the weight of server %d: %w", index, err)
	}
	now := make([]byte, 8)
	if _, err := p.loads.ReadAt(now, at+loadWeight); err != nil {
		return fmt.Errorf("read the thresholds of server %d: %w", index, err)
	}
	limits := bpfLimits{Server: index, Upper: rs.Upper, Lower: rs.Lower}
	if binary.NativeEndian.Uint32(now) == limits.Upper && binary.NativeEndian.Uint32(now[4:]) == limits.Lower {
		return nil
	}
	if _, err := p.limits.Run(&ebpf.RunOptions{Context: limits}); err != nil {
		return fmt.Errorf("set the thresholds of server %d: %w", index, err)
	}
	return nil
}
