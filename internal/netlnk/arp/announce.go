package arp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Announce sends one gratuitous ARP for the VIP from the device, so that hosts
// and switches on the link send its frames here from now on.
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
	// A datagram socket: the kernel writes the Ethernet header.
	c, err := packet.Listen(&net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC},
		packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return fmt.Errorf("announce %s on %s: open a packet socket: %w", vip, dev, err)
	}
	defer c.Close()
	if _, err := c.WriteTo(b, &packet.Addr{HardwareAddr: broadcast()}); err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, dev, err)
	}
	return nil
}
