package service

import (
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// setAddrs enters the virtual addresses and those of servers behind NAT: fragments may
// wait for their first one only to or from these (slow/fragment.h of bpf/), and of what
// this machine sends only packets to or from these are looked at (hook/tc_local.h).
func (r *Registry) setAddrs(state lvs.Plan) error {
	wanted := map[abi.BpfAddr]abi.BpfAddrUse{}
	for _, vs := range state.Services {
		if vs.Mark == 0 {
			wanted[abi.AddrOf(vs.Addr)] |= abi.BpfAddrUseADDR_VIRTUAL
		}
		for _, rs := range vs.RealServers {
			if rs.Method == lvs.Masquerade {
				wanted[abi.AddrOf(rs.Addr)] |= abi.BpfAddrUseADDR_NAT_SERVER
			}
		}
	}
	for addr, use := range r.addrs.Wrote() {
		if wanted[addr] == use {
			delete(wanted, addr)
			continue
		}
		if wanted[addr] != 0 {
			continue
		}
		if err := r.addrs.Drop(addr); err != nil {
			return fmt.Errorf("remove the address %s: %w", addr.Netip(), err)
		}
	}
	for addr, use := range wanted {
		if err := r.addrs.Put(addr, use); err != nil {
			return fmt.Errorf("enter the address %s: %w", addr.Netip(), err)
		}
	}
	return nil
}
