package vrrp

import (
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// Packet is what a Transport received: an advertisement and its IP header.
type Packet struct {
	Source netip.Addr // without a zone
	// MAC is the source address of the frame: a router's where TTL is not 255.
	MAC       net.HardwareAddr
	TTL       uint8 // of IPv6 the hop limit
	Multicast bool  // sent to a multicast address

	Advertisement Advertisement
	// Err is a *DropError where the bytes could not be read; Advertisement is empty
	// then.
	Err error

	destination netip.Addr // invalid where the IP header was
}

// ipHeader is what an IP header says of the packet.
type ipHeader struct {
	source, destination netip.Addr
	ttl, protocol       uint8 // of IPv6 the hop limit and the next header
	header, length      int   // of the header, and of the whole packet
}

const minIPv4, lenIPv6 = 20, 40 // lengths of headers

// parseIP reads an IP header. The bytes may go on behind the packet, since Ethernet pads
// short frames. Its errors are *DropError with DropHeader.
func parseIP(b []byte) (ipHeader, error) {
	if len(b) > 0 && b[0]>>4 == 6 {
		return parseIPv6(b)
	}
	return parseIPv4(b)
}

// parseIPv4 reads an IPv4 header (RFC 791 section 3.1).
func parseIPv4(b []byte) (header ipHeader, err error) {
	if len(b) < minIPv4 {
		return header, dropf(DropHeader, "%d bytes, expected at least %d", len(b), minIPv4)
	}
	if version := b[0] >> 4; version != 4 {
		return header, dropf(DropHeader, "IP version %d, expected 4 or 6", version)
	}
	headerLen, totalLen := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:4]))
	if headerLen < minIPv4 || totalLen < headerLen || len(b) < totalLen {
		return header, dropf(DropHeader, "header %d, total length %d in %d bytes", headerLen, totalLen, len(b))
	}
	if checksum(b[:headerLen]) != 0 {
		return header, dropf(DropHeader, "checksum %#04x is wrong", binary.BigEndian.Uint16(b[10:12]))
	}
	// The more-fragments flag or a fragment offset is set: no advertisement is so long
	// that it has to be fragmented.
	if fragment := binary.BigEndian.Uint16(b[6:8]); fragment&0x3fff != 0 {
		return header, dropf(DropHeader, "a fragment")
	}
	if protocol := b[9]; protocol != Protocol && protocol != protocolAH {
		return header, dropf(DropHeader, "IP protocol %d, expected %d or %d", protocol, Protocol, protocolAH)
	}
	return ipHeader{
		source: netip.AddrFrom4([4]byte(b[12:16])), destination: netip.AddrFrom4([4]byte(b[16:20])),
		ttl: b[8], protocol: b[9], header: headerLen, length: totalLen,
	}, nil
}

// parseIPv6 reads an IPv6 header (RFC 8200 section 3). Behind extension headers there is no
// advertisement.
func parseIPv6(b []byte) (header ipHeader, err error) {
	if len(b) < lenIPv6 {
		return header, dropf(DropHeader, "%d bytes, expected at least %d", len(b), lenIPv6)
	}
	payload := int(binary.BigEndian.Uint16(b[4:6]))
	if len(b) < lenIPv6+payload {
		return header, dropf(DropHeader, "payload length %d in %d bytes", payload, len(b))
	}
	if b[6] != Protocol {
		return header, dropf(DropHeader, "next header %d, expected %d", b[6], Protocol)
	}
	return ipHeader{
		source: netip.AddrFrom16([16]byte(b[8:24])), destination: netip.AddrFrom16([16]byte(b[24:40])),
		ttl: b[7], protocol: b[6], header: lenIPv6, length: lenIPv6 + payload,
	}, nil
}

// check compares a packet with the configuration (RFC 3768 section 7.1, RFC 2338 section
// 7.1, RFC 5798 section 7.1). Its errors are *DropError. The VRID comes first: another
// virtual router may have any other setting. Version 3 takes any interval, and learns it.
func (c *Config) check(p *Packet) error {
	a := &p.Advertisement
	switch {
	case p.Err != nil:
		return p.Err
	case a.VRID != c.VRID:
		return dropf(DropVRID, "VRID %d, expected %d", a.VRID, c.VRID)
	}
	if err := checkIP(p, len(c.UnicastPeers) == 0); err != nil {
		return err
	}
	switch {
	case c.CheckUnicastSource && !p.Multicast && !slices.Contains(c.UnicastPeers, p.Source):
		return dropf(DropSource, "not a unicast peer")
	case !p.Multicast && !c.PeerTTLs[p.Source].holds(p.TTL):
		return dropf(DropTTL, "TTL %d, expected %s", p.TTL, c.PeerTTLs[p.Source])
	case a.version() != c.version():
		return dropf(DropVersion, "version %d, expected %d", a.version(), c.version())
	case c.version() == Version3:
	case a.Auth.Type != c.Auth.Type:
		return dropf(DropAuthType, "authentication %s, expected %s", a.Auth.Type, c.Auth.Type)
	case c.Auth.Type == AuthPassword && a.Auth.Data != c.Auth.Data:
		return dropf(DropAuthFailure, "the password differs")
	case a.Interval != c.AdvertInterval:
		return dropf(DropInterval, "advertisement interval %s, expected %s", a.Interval, c.AdvertInterval)
	}
	if !sameAddrs(a.VIPs, c.VIPs) {
		return dropf(DropVIPs, "VIPs %v, expected %v", a.VIPs, c.VIPs)
	}
	return nil
}

func (a *Advertisement) version() uint8 { return cmp.Or(a.Version, Version2) }

// checkIP looks at where a packet was sent, and at its TTL. A unicast peer may be behind
// routers, which lower it.
func checkIP(p *Packet, multicast bool) error {
	switch {
	case p.Multicast != multicast:
		return dropf(DropDestination, "sent by %s, expected %s", castName(p.Multicast), castName(multicast))
	case p.Multicast && p.TTL != TTL:
		return dropf(DropTTL, "TTL %d, expected %d", p.TTL, TTL)
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
