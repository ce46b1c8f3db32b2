package arp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Claim is an ARP packet that came in: somebody on a device's link has an IPv4 address.
type Claim struct {
	Device int // its number
	Addr   netip.Addr
	MAC    net.HardwareAddr
}

// Listen reads the ARP packets of all devices, in the network namespace of the calling
// thread, and calls heard for each that claims an address, until ctx ends. What this
// machine sends is left out.
func Listen(ctx context.Context, heard func(Claim)) error {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	if err != nil {
		return fmt.Errorf("listen for ARP: %w", err)
	}
	err = netlnk.Receive(ctx, fd, 64, func(packet []byte, from *unix.SockaddrLinklayer) {
		if c, ok := claimOf(packet); ok {
			c.Device = from.Ifindex
			heard(c)
		}
	})
	if err != nil {
		return fmt.Errorf("listen for ARP: %w", err)
	}
	return nil
}

// claimOf reads the sender of an ARP packet of Ethernet and IPv4 (RFC 826). A probe, whose
// sender has no address yet (RFC 5227 section 2.1.1), claims none.
func claimOf(b []byte) (c Claim, ok bool) {
	const length = 28
	if len(b) < length || binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return c, false
	}
	c.MAC = append(net.HardwareAddr(nil), b[8:14]...)
	c.Addr = netip.AddrFrom4([4]byte(b[14:18]))
	return c, !c.Addr.IsUnspecified()
}
