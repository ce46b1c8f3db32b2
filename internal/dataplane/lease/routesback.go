package lease

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

// surroundings are this machine's neighbours and routes.
type surroundings struct {
	neighbours []netlnk.Neighbour
	routes     []netlnk.Route
}

// look reads the kernel's tables.
func look() (s surroundings, err error) {
	if s.neighbours, err = netlnk.Neighbours(); err != nil {
		return s, err
	}
	s.routes, err = netlnk.Routes()
	return s, err
}

// macs are the directors' Ethernet addresses (abi.MACWord), each with
// abi.DirectorOwnsMac or abi.DirectorSharesMac. A director speaks by the address that its
// neighbours find it by: where its advertisements come from another one, other machines'
// frames come from that as well (a cloud's router), or it is for advertisements alone
// (use_vmac). Known are those of before: an address stays what it was while the kernel
// does not know the director.
func (s surroundings) macs(directors []lvs.Director, known map[uint64]uint8) map[uint64]uint8 {
	all := map[uint64]uint8{}
	found := map[netip.Addr][]uint64{}
	for _, n := range s.neighbours {
		found[n.Addr] = append(found[n.Addr], abi.MACWord(n.MAC))
	}
	for _, d := range directors {
		word, own := abi.MACWord(d.MAC), found[d.Addr.WithZone("").Unmap()]
		kind := uint8(abi.DirectorOwnsMac)
		switch {
		case len(own) == 0:
			kind = max(kind, known[word])
		case !slices.Contains(own, word):
			kind = abi.DirectorSharesMac
		}
		all[word] = max(all[word], kind)
		for _, mac := range own {
			all[mac] = max(all[mac], abi.DirectorOwnsMac)
		}
	}
	return all
}

// back are the networks whose route leads by an Ethernet address of those given, with that
// address, and the smaller networks inside of them whose route does not, with 0.
func (s surroundings) back(directors []lvs.Director, macs map[uint64]uint8) map[netip.Prefix]uint64 {
	byRouter, all := map[netlnk.Gateway]uint64{}, map[netip.Prefix]uint64{}
	for _, n := range s.neighbours {
		if mac := abi.MACWord(n.MAC); macs[mac] != 0 {
			byRouter[netlnk.Gateway{Addr: n.Addr, Index: n.Index}] = mac
			all[host(n.Addr)] = mac
		}
	}
	byAddr := map[netip.Addr]uint64{}
	for _, d := range directors {
		addr := d.Addr.WithZone("").Unmap()
		if !addr.IsValid() {
			continue
		}
		byAddr[addr] = abi.MACWord(d.MAC)
		if _, known := all[host(addr)]; !known {
			all[host(addr)] = abi.MACWord(d.MAC)
		}
	}
	others := map[netip.Prefix]bool{}
	for _, r := range s.routes {
		if mac := routerOf(r, byRouter, byAddr); mac != 0 {
			all[r.To] = mac
		} else {
			others[r.To] = true
		}
	}
	if withHoles(all, others); all[all6] != 0 { // which is around IPv4 in the table
		if _, known := all[all4]; !known {
			all[all4] = 0
		}
	}
	return all
}

var (
	all4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	all6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// routerOf is the director that a route leads by, or 0. One that the kernel has not found
// yet is known by its address.
func routerOf(r netlnk.Route, byRouter map[netlnk.Gateway]uint64, byAddr map[netip.Addr]uint64) uint64 {
	for _, gw := range r.Gateways {
		if mac := cmp.Or(byRouter[gw], byAddr[gw.Addr]); mac != 0 {
			return mac
		}
	}
	return 0
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// withHoles adds the networks of other routes that are inside of one of these, with 0.
func withHoles(all map[netip.Prefix]uint64, others map[netip.Prefix]bool) {
	for p := range others {
		if _, both := all[p]; both { // by another metric
			continue
		}
		for bits := p.Bits() - 1; bits >= 0; bits-- {
			if around, _ := p.Addr().Prefix(bits); all[around] != 0 {
				all[p] = 0
				break
			}
		}
	}
}
