package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"weir/lvs"
)

// setEnds makes these the addresses whose fragments may wait for their first one
// (bpf/fragment.h): virtual ones, and those of servers behind NAT.
func (p *Plane) setEnds(plan lvs.Plan) error {
	wanted := map[bpfAddr]bool{}
	for _, vs := range plan.Services {
		if vs.Mark == 0 {
			wanted[wireAddr(vs.Addr)] = true
		}
		for _, rs := range vs.RealServers {
			if rs.Method == lvs.Masquerade {
				wanted[wireAddr(rs.Addr)] = true
			}
		}
	}
	var end bpfAddr
	var one uint8
	var gone []bpfAddr
	entries := p.maps.Ends.Iterate()
	for entries.Next(&end, &one) {
		if !wanted[end] {
			gone = append(gone, end)
		}
		delete(wanted, end)
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("list the addresses with fragments of ours: %w", err)
	}
	for end := range wanted {
		if err := p.maps.Ends.Put(end, uint8(1)); err != nil {
			return fmt.Errorf("enter %s for its fragments: %w", end.netip(), err)
		}
	}
	for _, end := range gone {
		if err := p.maps.Ends.Delete(end); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forget %s and its fragments: %w", end.netip(), err)
		}
	}
	return nil
}
