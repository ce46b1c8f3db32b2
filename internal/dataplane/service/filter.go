package service

import (
	"fmt"
	"net/netip"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// filter is the filter of addresses as it is to be (service/addr_filter.h of bpf/): the
// data plane lets packets pass, before it asks any table, whose addresses have no service
// and no server in it.
type filter struct{ abi.BpfAddrFilter }

// newFilter lets every packet pass.
func newFilter() *filter {
	f := &filter{}
	for i := range f.Flags {
		f.Flags[i] = abi.AddrPasses
	}
	return f
}

// virtual has packets to and from the address of a service looked at. The unspecified
// address is that of a service by firewall mark, which may have packets of any address.
func (f *filter) virtual(a netip.Addr) {
	if a.IsValid() && !a.IsUnspecified() {
		f.Flags[abi.AddrSlot(abi.AddrOf(a))] &^= abi.AddrNotVirtual
		return
	}
	for i := range f.Flags {
		f.Flags[i] &^= abi.AddrNoMarks
	}
}

// nat has packets from the address of a server behind NAT looked at.
func (f *filter) nat(a netip.Addr) {
	f.Flags[abi.AddrSlot(abi.AddrOf(a))] &^= abi.AddrNotNat
}

// widenFilter has the packets of services looked at that are about to be entered, beside those
// that are looked at already, so that none passes by.
func (r *Registry) widenFilter(coming []lvs.VirtualServer) error {
	f := filter{r.filter.Wrote()[0]}
	for _, vs := range coming {
		f.service(vs)
	}
	return r.putFilter(&f)
}

// setFilter writes the filter for the services and servers that the tables hold, those
// that were removed while connections refer to them included. It does nothing where the ones
// whose packets are looked at have not changed.
func (r *Registry) setFilter() error {
	if r.filtered {
		return nil
	}
	f, known := newFilter(), map[uint32]bool{}
	for key, s := range r.services {
		known[s.index] = true
		f.virtual(addrOf(key))
	}
	for key, s := range r.servers {
		if s.wasNAT {
			f.nat(key.addr.Addr())
		}
		if !known[key.service] { // of a service that was removed before this process began
			known[key.service] = true
			f.virtual(r.vips.Wrote()[key.service].Netip())
		}
	}
	err := r.putFilter(f)
	r.filtered = err == nil
	return err
}

func (r *Registry) putFilter(f *filter) error {
	if r.filter.Wrote()[0] == f.BpfAddrFilter {
		return nil
	}
	if err := r.filter.Put(0, f.BpfAddrFilter); err != nil {
		return fmt.Errorf("write which addresses services and servers have: %w", err)
	}
	return nil
}

// service has the packets of a service looked at.
func (f *filter) service(vs lvs.VirtualServer) {
	f.virtual(addrOf(vs.ServiceKey))
	for _, rs := range vs.RealServers {
		if rs.Method == lvs.Masquerade {
			f.nat(rs.Addr)
		}
	}
}

// addrOf is the address of a service; that of one by firewall mark is not valid.
func addrOf(key lvs.ServiceKey) netip.Addr {
	if key.ByMark() {
		return netip.Addr{}
	}
	return key.Addr
}
