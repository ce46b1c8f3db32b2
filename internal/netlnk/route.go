package netlnk

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultRouteBy says whether an IPv4 default route of the main table uses a device,
// alone or as one of several next hops. Dev is the device's index.
func DefaultRouteBy(dev int) (bool, error) {
	all, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range all {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if r.LinkIndex == dev {
			return true, nil
		}
		for _, hop := range r.MultiPath {
			if hop.LinkIndex == dev {
				return true, nil
			}
		}
	}
	return false, nil
}
