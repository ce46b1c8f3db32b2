package arp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Frame is the broadcast of a gratuitous ARP for the VIP from this device, after which the
// hosts and switches of the link send its frames here. A VIP that is not an IPv4 address
// and a device without an Ethernet address are errors.
func Frame(l netlnk.Link, vip netip.Addr) (netlnk.Frame, error) {
	if !vip.Unmap().Is4() {
		return netlnk.Frame{}, fmt.Errorf("announce %s by ARP: expected an IPv4 address", vip)
	}
	b, err := Gratuitous(l.MAC, vip.Unmap()).MarshalBinary()
	if err != nil {
		return netlnk.Frame{}, fmt.Errorf("announce %s on %s: %w", vip, l.Name, err)
	}
	return netlnk.Frame{EtherType: unix.ETH_P_ARP, To: broadcast(), Payload: b}, nil
}
