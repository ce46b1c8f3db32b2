package ndp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Claim is a neighbour advertisement that came in: somebody on a device's link has an IPv6
// address.
type Claim struct {
	Device int // its number
	Addr   netip.Addr
	MAC    net.HardwareAddr
}

// Listen reads the neighbour advertisements of all devices, in the network namespace of the
// calling thread, and calls heard for each, until ctx ends. What this machine sends is left
// out. The kernel leaves out all other packets.
func Listen(ctx context.Context, heard func(Claim)) error {
	fd, err := open()
	if err != nil {
		return fmt.Errorf("listen for neighbour advertisements: %w", err)
	}
	err = netlnk.Receive(ctx, fd, 256, func(packet []byte, from *unix.SockaddrLinklayer) {
		if from.Halen != 6 {
			return
		}
		if c, ok := claimOf(packet, net.HardwareAddr(from.Addr[:6])); ok {
			c.Device = from.Ifindex
			heard(c)
		}
	})
	if err != nil {
		return fmt.Errorf("listen for neighbour advertisements: %w", err)
	}
	return nil
}

// open opens a socket for IPv6 packets that lets neighbour advertisements pass. It hears
// nothing before it has its filter.
func open() (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return 0, err
	}
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Val: protocolICMPv6, SkipFalse: 3},
		bpf.LoadAbsolute{Off: headerSize, Size: 1},
		bpf.JumpIf{Val: neighborAdvertisement, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{},
	})
	if err == nil {
		filter := make([]unix.SockFilter, len(program))
		for i, in := range program {
			filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
		}
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6))
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol})
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// claimOf reads a neighbour advertisement from the IPv6 header on (RFC 4861 section 4.4), by
// the rules of section 7.1.2 but for the checksum, which the kernel looks at. The Ethernet
// address is that of its option, or where it has none the frame's source.
func claimOf(b []byte, from net.HardwareAddr) (c Claim, ok bool) {
	const options = headerSize + 24
	if len(b) < options || b[6] != protocolICMPv6 || b[7] != hopLimit || b[headerSize] != neighborAdvertisement || b[headerSize+1] != 0 {
		return c, false
	}
	c.Addr = netip.AddrFrom16([16]byte(b[headerSize+8 : options]))
	c.MAC = append(net.HardwareAddr(nil), from...)
	for rest := b[options:]; len(rest) >= 8; {
		length := 8 * int(rest[1])
		if length == 0 || length > len(rest) {
			return c, false
		}
		if rest[0] == targetLinkLayer && length == 8 {
			c.MAC = append(net.HardwareAddr(nil), rest[2:8]...)
		}
		rest = rest[length:]
	}
	return c, !c.Addr.IsMulticast() && !c.Addr.IsUnspecified()
}
