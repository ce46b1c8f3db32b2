package vrrp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// Packet is what a Transport received: an advertisement and its IP header.
type Packet struct {
	Source netip.Addr
	// MAC is the source address of the frame: a router's where TTL is not 255.
	MAC       net.HardwareAddr
	TTL       uint8
	Multicast bool // sent to a multicast address

	Advertisement Advertisement
	// Err is a *DropError where the bytes could not be read; Advertisement is empty
	// then.
	Err error

	destination netip.Addr // invalid where the IP header was
}

// decodePacket reads an IPv4 packet that begins with the IP header. What is wrong with
// it stands in Packet.Err.
func decodePacket(b []byte, mac net.HardwareAddr) Packet {
	header, payload, err := parseIPv4(b)
	if err != nil {
		return Packet{MAC: mac, Err: err}
	}
	p := Packet{
		Source:      header.source,
		MAC:         mac,
		TTL:         header.ttl,
		Multicast:   header.destination.IsMulticast(),
		destination: header.destination,
	}
	p.Err = p.Advertisement.UnmarshalBinary(payload)
	return p
}

type ipv4Header struct {
	source, destination netip.Addr
	ttl                 uint8
}

// parseIPv4 reads an IPv4 header (RFC 791 section 3.1) and returns its payload. The
// bytes may go on behind the total length, since Ethernet pads short frames. Its errors
// are *DropError with DropHeader.
func parseIPv4(b []byte) (header ipv4Header, payload []byte, err error) {
	const minLen = 20
	if len(b) < minLen {
		return header, nil, dropf(DropHeader, "%d bytes, expected at least %d", len(b), minLen)
	}
	if version := b[0] >> 4; version != 4 {
		return header, nil, dropf(DropHeader, "IP version %d, expected 4", version)
	}
	headerLen, totalLen := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:4]))
	if headerLen < minLen || totalLen < headerLen || len(b) < totalLen {
		return header, nil, dropf(DropHeader, "header %d, total length %d in %d bytes", headerLen, totalLen, len(b))
	}
	if checksum(b[:headerLen]) != 0 {
		return header, nil, dropf(DropHeader, "checksum %#04x is wrong", binary.BigEndian.Uint16(b[10:12]))
	}
	// The more-fragments flag or a fragment offset is set: no advertisement is so long
	// that it has to be fragmented.
	if fragment := binary.BigEndian.Uint16(b[6:8]); fragment&0x3fff != 0 {
		return header, nil, dropf(DropHeader, "a fragment")
	}
	if protocol := b[9]; protocol != Protocol {
		return header, nil, dropf(DropHeader, "IP protocol %d, expected %d", protocol, Protocol)
	}
	header = ipv4Header{
		source:      netip.AddrFrom4([4]byte(b[12:16])),
		destination: netip.AddrFrom4([4]byte(b[16:20])),
		ttl:         b[8],
	}
	return header, b[headerLen:totalLen], nil
}

// check compares a packet with the configuration (RFC 3768 section 7.1, RFC 2338 section
// 7.1). Its errors are *DropError. The VRID comes first: another virtual router may have
// any other setting.
func (c *Config) check(p *Packet) error {
	a := &p.Advertisement
	switch {
	case p.Err != nil:
		return p.Err
	case a.VRID != c.VRID:
		return dropf(DropVRID, "VRID %d, expected %d", a.VRID, c.VRID)
	case p.Multicast != (len(c.UnicastPeers) == 0):
		return dropf(DropDestination, "sent by %s, expected %s", castName(p.Multicast), castName(!p.Multicast))
	case c.CheckUnicastSource && !p.Multicast && !slices.Contains(c.UnicastPeers, p.Source):
		return dropf(DropSource, "not a unicast peer")
	// A unicast peer may be behind routers, which lower the TTL.
	case p.Multicast && p.TTL != TTL:
		return dropf(DropTTL, "TTL %d, expected %d", p.TTL, TTL)
	case a.Auth.Type != c.Auth.Type:
		return dropf(DropAuthType, "authentication %s, expected %s", a.Auth.Type, c.Auth.Type)
	case c.Auth.Type == AuthPassword && a.Auth.Data != c.Auth.Data:
		return dropf(DropAuthFailure, "the password differs")
	case a.Interval != c.AdvertInterval:
		return dropf(DropInterval, "advertisement interval %s, expected %s", a.Interval, c.AdvertInterval)
	case !sameAddrs(a.VIPs, c.VIPs):
		return dropf(DropVIPs, "VIPs %v, expected %v", a.VIPs, c.VIPs)
	}
	return nil
}

func castName(multicast bool) string {
	if multicast {
		return "multicast"
	}
	return "unicast"
}

// sameAddrs says whether two lists contain the same addresses, in any order.
func sameAddrs(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}
