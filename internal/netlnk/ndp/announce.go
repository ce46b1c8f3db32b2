package ndp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Announce sends one unsolicited neighbour advertisement for the VIP from the device with
// this name to all nodes, so that the hosts and routers of the link send its packets here
// from now on. The director calls it for a new master. An IPv4 address is an error.
func Announce(dev string, vip netip.Addr) error {
	l, err := netlnk.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("announce %s: %w", vip, err)
	}
	router, err := netlnk.Forwards6(dev)
	if err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	b, err := Advertisement{Target: vip, MAC: l.MAC, Router: router}.MarshalBinary()
	if err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	if err := l.Send(unix.ETH_P_IPV6, allNodesMAC(), b); err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	return nil
}
