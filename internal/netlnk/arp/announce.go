package arp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Announce broadcasts one gratuitous ARP for the VIP from the device with this name, so
// that the hosts and switches of the link send its frames here from now on. The director
// calls it for a new master. An IPv6 address is an error.
func Announce(dev string, vip netip.Addr) error {
	if !vip.Unmap().Is4() {
		return fmt.Errorf("announce %s by ARP: expected an IPv4 address", vip)
	}
	l, err := netlnk.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("announce %s: %w", vip, err)
	}
	b, err := Gratuitous(l.MAC, vip.Unmap()).MarshalBinary()
	if err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	if err := l.Send(unix.ETH_P_ARP, broadcast(), b); err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	return nil
}
