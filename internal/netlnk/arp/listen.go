package arp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
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
	f := os.NewFile(uintptr(fd), "ARP")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("listen for ARP: %w", err)
	}
	b := make([]byte, 64)
	for ctx.Err() == nil {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), b, 0)
			return failed != unix.EAGAIN
		})
		if err != nil { // closed
			return nil
		}
		if failed != nil {
			continue // a device that went down says so once
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if c, ok := claimOf(b[:n]); ok {
			c.Device = link.Ifindex
			heard(c)
		}
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
