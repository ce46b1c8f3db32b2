package netlnk

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour is a machine on a link, and its MAC address.
type Neighbour struct {
	Addr  netip.Addr // without a zone
	Index int        // of the device
	MAC   net.HardwareAddr
}

// Neighbours are all neighbours whose MAC address the kernel knows and would use.
func Neighbours() (all []Neighbour, err error) {
	list, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, 0) })
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range list {
		addr, ok := netip.AddrFromSlice(n.IP)
		if ok && n.State&usable != 0 && len(n.HardwareAddr) == 6 {
			all = append(all, Neighbour{addr.Unmap(), n.LinkIndex, n.HardwareAddr})
		}
	}
	return all, nil
}

// Route is a route of the main table to other machines.
type Route struct {
	To netip.Prefix
	// Gateways are its routers; there is none where the network is on the link.
	Gateways []Gateway
}

// Gateway is a router, and the device that leads to it.
type Gateway struct {
	Addr  netip.Addr
	Index int
}

// Routes are the unicast routes of the main table.
func Routes() (all []Route, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := dump(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range list {
			if r.Type == unix.RTN_UNICAST {
				all = append(all, routeFrom(family, r))
			}
		}
	}
	return all, nil
}

func routeFrom(family int, r netlink.Route) Route {
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if family == unix.AF_INET6 {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if r.Dst != nil {
		if addr, ok := netip.AddrFromSlice(r.Dst.IP); ok {
			bits, _ := r.Dst.Mask.Size()
			to = netip.PrefixFrom(addr.Unmap(), bits)
		}
	}
	route := Route{To: to}
	if gw, ok := gateway(r); ok {
		route.Gateways = append(route.Gateways, Gateway{gw, r.LinkIndex})
	}
	for _, hop := range r.MultiPath {
		if gw, ok := gateway(netlink.Route{Gw: hop.Gw, Via: hop.Via}); ok {
			route.Gateways = append(route.Gateways, Gateway{gw, hop.LinkIndex})
		}
	}
	return route
}
