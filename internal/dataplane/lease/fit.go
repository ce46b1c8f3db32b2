package lease

import (
	"net/netip"
	"slices"

	"weir/internal/dataplane/abi"
)

// fit makes the networks whose routes lead by other directors fit a table of this size: it
// leaves out those that say the same as the one around them. Where that is not enough, it
// leaves out all networks of the directors that route the most of them, and returns these
// directors' Ethernet addresses (abi.MACWord). Such an address is to be taken as one that
// clients' frames have as well (abi.DirectorSharesMac): no client is refused for the lack of
// room.
func fit(all map[netip.Prefix]uint64, most int) (crowded []uint64) {
	if len(all) <= most {
		return nil
	}
	dropRepeated(all)
	for len(all) > most {
		mac := routesMost(all)
		crowded = append(crowded, mac)
		for p, by := range all {
			if by == mac {
				delete(all, p)
			}
		}
		dropRepeated(all)
	}
	return crowded
}

// dropRepeated leaves out the networks that lead where the smallest one around them leads; one
// around which there is none leads by no director.
func dropRepeated(all map[netip.Prefix]uint64) {
	list := make([]netip.Prefix, 0, len(all))
	for p := range all {
		list = append(list, p)
	}
	// The large ones first: what is left out says the same as what stays around it.
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for _, p := range list {
		if p != all4 && p != all6 && all[p] == around(all, p) {
			delete(all, p)
		}
	}
}

// around is where the smallest network around this one leads, 0 where there is none.
func around(all map[netip.Prefix]uint64, p netip.Prefix) uint64 {
	for bits := p.Bits() - 1; bits >= 0; bits-- {
		larger, _ := p.Addr().Prefix(bits) // never more bits than the address has
		if mac, there := all[larger]; there {
			return mac
		}
	}
	if p.Addr().Is4() { // which is inside of all of IPv6 in the table
		return all[all6]
	}
	return 0
}

// routesMost is the director by which most of the networks lead.
func routesMost(all map[netip.Prefix]uint64) (most uint64) {
	counts := map[uint64]int{}
	for _, mac := range all {
		if mac != 0 {
			counts[mac]++
		}
	}
	for mac, n := range counts {
		if n > counts[most] || n == counts[most] && mac < most {
			most = mac
		}
	}
	return most
}

// takeAsShared marks the Ethernet addresses as ones that clients' frames have as well.
func takeAsShared(macs map[uint64]uint8, crowded []uint64) {
	for _, mac := range crowded {
		macs[mac] = abi.DirectorSharesMac
	}
}
