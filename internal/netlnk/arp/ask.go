package arp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Ask asks the machine at a next hop on Ethernet whether it has an IPv4 address, by a request
// to it alone, and says whether it has answered in time. The calling thread's network
// namespace has the next hop's device. Errors are those of the packet socket; that nobody
// answers is none, nor is the end of ctx.
func Ask(ctx context.Context, hop netlnk.NextHop, addr netip.Addr, within time.Duration) (answered bool, err error) {
	request, err := Packet{Operation: Request, SenderMAC: hop.Src, SenderIP: hop.Source.Unmap(), TargetMAC: hop.Dst, TargetIP: addr.Unmap()}.MarshalBinary()
	if err != nil {
		return false, err
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	if err != nil {
		return false, fmt.Errorf("ask by ARP: %w", err)
	}
	f := os.NewFile(uintptr(fd), "ARP")
	defer f.Close()
	to := &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: hop.Index}
	if err := unix.Bind(fd, to); err != nil {
		return false, fmt.Errorf("ask by ARP: %w", err)
	}
	to.Halen = uint8(copy(to.Addr[:], hop.Dst))
	if err := unix.Sendto(fd, request, 0, to); err != nil {
		return false, fmt.Errorf("ask by ARP: %w", err)
	}
	if err := f.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false, fmt.Errorf("ask by ARP: %w", err)
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	b := make([]byte, 64)
	for {
		n, err := f.Read(b)
		if err != nil {
			return false, nil // the time is over
		}
		var p Packet
		if p.UnmarshalBinary(b[:n]) == nil && p.Operation == Reply && p.SenderIP == addr.Unmap() && bytes.Equal(p.SenderMAC, hop.Dst) {
			return true, nil
		}
	}
}
