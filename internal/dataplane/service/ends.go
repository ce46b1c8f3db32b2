package service

import (
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// setEnds makes these the addresses whose fragments may wait for their first one
// (slow/fragment.h of bpf/), and to or from which this machine may send something itself
// (forward/local.h of bpf/): virtual ones, and those of servers behind NAT.
func (r *Registry) setEnds(state lvs.Plan) error {
	wanted := map[abi.BpfAddr]abi.BpfEnd{}
	for _, vs := range state.Services {
		if vs.Mark == 0 {
			wanted[abi.AddrOf(vs.Addr)] |= abi.BpfEndEND_VIRTUAL
		}
		for _, rs := range vs.RealServers {
			if rs.Method == lvs.Masquerade {
				wanted[abi.AddrOf(rs.Addr)] |= abi.BpfEndEND_SERVER
			}
		}
	}
	for end, is := range r.ends.Wrote() {
		if wanted[end] == is {
			delete(wanted, end)
			continue
		}
		if wanted[end] != 0 {
			continue
		}
		if err := r.ends.Drop(end); err != nil {
			return fmt.Errorf("forget %s and its fragments: %w", end.Netip(), err)
		}
	}
	for end, is := range wanted {
		if err := r.ends.Put(end, is); err != nil {
			return fmt.Errorf("enter %s for its fragments: %w", end.Netip(), err)
		}
	}
	return nil
}
