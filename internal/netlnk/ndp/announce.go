package ndp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Frame is one unsolicited neighbour advertisement for the VIP from this device to all
// nodes, after which the hosts and routers of the link send its packets here. Router says
// that the machine forwards IPv6 packets that come in on the device (netlnk.Forwards6). A
// VIP that is not a unicast IPv6 address and a device without an Ethernet address are
// errors.
func Frame(l netlnk.Link, vip netip.Addr, router bool) (netlnk.Frame, error) {
	b, err := Advertisement{Target: vip, MAC: l.MAC, Router: router}.MarshalBinary()
	if err != nil {
		return netlnk.Frame{}, fmt.Errorf("announce %s on %s: %w", vip, l.Name, err)
	}
	return netlnk.Frame{EtherType: unix.ETH_P_IPV6, To: allNodesMAC(), Payload: b}, nil
}
