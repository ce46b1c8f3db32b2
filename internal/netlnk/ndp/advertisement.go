// Package ndp announces IPv6 addresses on Ethernet by unsolicited neighbour
// advertisements, and asks who has them by neighbour solicitations.
package ndp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Size is the length in bytes of the IPv6 packet of an Advertisement: the IPv6 header, the
// message, and the target link-layer address option.
const Size = headerSize + messageSize

const (
	headerSize  = 40
	messageSize = 32

	protocolICMPv6        = 58
	neighborAdvertisement = 136 // RFC 4861 section 4.4
	targetLinkLayer       = 2   // RFC 4861 section 4.6.1
	// hopLimit proves that no router has forwarded the packet: nodes drop advertisements
	// with another one (RFC 4861 section 7.1.2).
	hopLimit = 255

	flagRouter   = 0x80
	flagOverride = 0x20
)

// allNodes is the group of all nodes of a link (RFC 4291 section 2.7.1), allNodesMAC its
// Ethernet address (RFC 2464 section 7).
var allNodes = netip.MustParseAddr("ff02::1")

func allNodesMAC() net.HardwareAddr { return net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} }

// Advertisement is an unsolicited neighbour advertisement to all nodes of a link: those
// that have the target in their neighbour cache send to MAC from now on (RFC 4861 section
// 7.2.6).
type Advertisement struct {
	Target netip.Addr
	MAC    net.HardwareAddr
	// Router says that the sender forwards packets. Hosts remove a router that
	// advertises without it from their list of default routers.
	Router bool
}

// MarshalBinary returns the IPv6 packet, from the IPv6 header on, in network byte order.
// Its source is the target, as in the kernel's own advertisements. A target that is not a
// unicast IPv6 address and a MAC address of other than 6 bytes are errors.
func (a Advertisement) MarshalBinary() ([]byte, error) {
	if !a.Target.Is6() || a.Target.Is4In6() || a.Target.IsMulticast() || a.Target.IsUnspecified() {
		return nil, fmt.Errorf("ndp: target %s: expected a unicast IPv6 address", a.Target)
	}
	if len(a.MAC) != 6 {
		return nil, errors.New("ndp: a MAC address must have 6 bytes")
	}
	b := make([]byte, 0, Size)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, messageSize)
	b = append(b, protocolICMPv6, hopLimit)
	b = append(b, a.Target.AsSlice()...)
	b = append(b, allNodes.AsSlice()...)
	flags := byte(flagOverride)
	if a.Router {
		flags |= flagRouter
	}
	b = append(b, neighborAdvertisement, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, a.Target.AsSlice()...)
	b = append(b, targetLinkLayer, 1) // in units of 8 bytes
	b = append(b, a.MAC...)
	binary.BigEndian.PutUint16(b[headerSize+2:], checksum(b))
	return b, nil
}

// checksum is the ICMPv6 checksum of an IPv6 packet of an even length whose checksum field
// is 0 (RFC 4443 section 2.3, RFC 8200 section 8.1).
func checksum(packet []byte) uint16 {
	sum := uint32(protocolICMPv6 + len(packet) - headerSize)
	for i := 8; i < len(packet); i += 2 { // from the source address on
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
