package dataplane

import (
	"fmt"

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
	for end := range p.tables.ends.wrote {
		if wanted[end] {
			delete(wanted, end)
			continue
		}
		if err := p.tables.ends.drop(end); err != nil {
			return fmt.Errorf("forget %s and its fragments: %w", end.netip(), err)
		}
	}
	for end := range wanted {
		if err := p.tables.ends.put(end, 1); err != nil {
			return fmt.Errorf("enter %s for its fragments: %w", end.netip(), err)
		}
	}
	return nil
}
