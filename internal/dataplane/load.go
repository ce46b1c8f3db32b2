package dataplane

import (
	"encoding/binary"
	"fmt"

	"weir/lvs"
)

// The layout of struct load (bpf/abi.h): Go writes the limits at its head, the
// data plane what follows.
const (
	loadSize   = 32
	loadLimits = 12
)

// setLimits writes a server's weight and thresholds beside its live counts.
func (p *Plane) setLimits(index uint32, rs lvs.RealServer) error {
	b := make([]byte, 0, loadLimits)
	for _, limit := range []uint32{uint32(rs.Weight), rs.Upper, rs.Lower} {
		b = binary.NativeEndian.AppendUint32(b, limit)
	}
	if _, err := p.loads.WriteAt(b, int64(index)*loadSize); err != nil {
		return fmt.Errorf("set the limits of server %d: %w", index, err)
	}
	return nil
}
