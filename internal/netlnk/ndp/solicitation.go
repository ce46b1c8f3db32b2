package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// neighborSolicitation is the type of RFC 4861 section 4.3.
const neighborSolicitation = 135

// probeSize is the length in bytes of the IPv6 packet of a probe, which has no option (RFC
// 4861 section 4.3: none where the source is the unspecified address).
const probeSize = headerSize + 24

// probe is the neighbour solicitation of duplicate address detection (RFC 4862 section
// 5.4.2), from the IPv6 header on, in network byte order: who has the address answers to all
// nodes. An address that is not a unicast IPv6 address is an error.
func probe(addr netip.Addr) ([]byte, error) {
	if !addr.Is6() || addr.Is4In6() || addr.IsMulticast() || addr.IsUnspecified() {
		return nil, errors.New("expected a unicast IPv6 address")
	}
	target := addr.As16()
	b := make([]byte, 0, probeSize)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, probeSize-headerSize)
	b = append(b, protocolICMPv6, hopLimit)
	b = append(b, netip.IPv6Unspecified().AsSlice()...)
	b = append(b, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15])
	b = append(b, neighborSolicitation, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, target[:]...)
	binary.BigEndian.PutUint16(b[headerSize+2:], checksum(b))
	return b, nil
}

// ProbeFrame asks on a device who has an address, for the group of those that may have it
// (RFC 4291 section 2.7.1, RFC 2464 section 7). An address that is not a unicast IPv6
// address is an error.
func ProbeFrame(addr netip.Addr) (netlnk.Frame, error) {
	b, err := probe(addr)
	if err != nil {
		return netlnk.Frame{}, fmt.Errorf("ask for %s: %w", addr, err)
	}
	to := net.HardwareAddr{0x33, 0x33, 0xff, b[headerSize-3], b[headerSize-2], b[headerSize-1]}
	return netlnk.Frame{EtherType: unix.ETH_P_IPV6, To: to, Payload: b}, nil
}

// AskAll asks on a device whether other machines have addresses; Listen hears who answers. It
// waits a second at most. The errors are those of netlnk.OpenSender, ProbeFrame and
// Sender.Send.
func AskAll(device string, addrs []netip.Addr) error {
	frames := make([]netlnk.Frame, 0, len(addrs))
	for _, a := range addrs {
		f, err := ProbeFrame(a)
		if err != nil {
			return err
		}
		frames = append(frames, f)
	}
	s, err := netlnk.OpenSender(device)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Send(frames)
	return err
}
