// Package vrrp is the Virtual Router Redundancy Protocol, version 2 (RFC 3768) with the
// authentication of RFC 2338, and version 3 for IPv4 and IPv6 (RFC 5798, RFC 9568): the
// codec of its advertisements ("adverts" for short), the Instance state machine that decides
// which director is master, and the sockets that carry the adverts. It imports nothing of
// weir's.
package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

const (
	// Protocol is VRRP's IP protocol number (RFC 3768 section 5.2.4).
	Protocol = 112
	// TTL is the IP TTL of every advertisement that is sent. A received one has it
	// only where no router forwarded it (RFC 3768 section 5.2.3).
	TTL = 255

	// PriorityOwner is the priority of the router that owns the addresses (RFC 3768
	// section 5.3.4).
	PriorityOwner = 255
	// PriorityRelease is the priority in the last advertisement of a master that
	// stops (RFC 3768 section 5.3.4).
	PriorityRelease = 0
)

// Group4 is the multicast group of IPv4 advertisements (RFC 3768 section 5.2.2).
func Group4() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 18}) }

// Group6 is the multicast group of IPv6 advertisements, ff02::12 (RFC 5798 section 5.1.2.2).
func Group6() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12}) }

// The versions of the protocol.
const (
	Version2 = 2 // RFC 3768, IPv4
	Version3 = 3 // RFC 5798 and RFC 9568, IPv4 and IPv6
)

const (
	// centisecond is the unit of version 3's interval (RFC 5798 section 5.2.7).
	centisecond = 10 * time.Millisecond
	// maxInterval3 is what its 12 bits hold.
	maxInterval3 = 4095 * centisecond

	// typeAdvertisement is the only packet type (RFC 3768 section 5.3.2).
	typeAdvertisement = 1

	headerLen   = 8 // version to checksum
	authDataLen = 8
	maxVIPs     = 255 // the count is one byte
)

// AuthType is how an advertisement is authenticated (RFC 2338 section 5.3.6).
type AuthType uint8

const (
	AuthNone     AuthType = 0
	AuthPassword AuthType = 1 // auth_type PASS: eight bytes in clear text
	AuthHeader   AuthType = 2 // auth_type AH: an IPsec authentication header, see ah.go
)

func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPassword:
		return "PASS"
	case AuthHeader:
		return "AH"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Authentication is the authentication of a version 2 advertisement. The zero value is
// none.
type Authentication struct {
	Type AuthType
	Data [authDataLen]byte // present in the packet with every type; zeros with AH
}

// onWire is what an advertisement carries of it: not the key of an authentication header.
func (a Authentication) onWire() Authentication {
	if a.Type == AuthHeader {
		a.Data = [authDataLen]byte{}
	}
	return a
}

// Key is the authentication of keepalived's auth_type AH: the key of the authentication
// header, which no advertisement carries. It is padded as a Password.
func Key(pass string) Authentication {
	auth := Password(pass)
	auth.Type = AuthHeader
	return auth
}

// Password is the authentication of keepalived's auth_type PASS: the first eight bytes
// of pass, padded with zeros.
func Password(pass string) Authentication {
	auth := Authentication{Type: AuthPassword}
	copy(auth.Data[:], pass)
	return auth
}

// Advertisement is the only packet of VRRP (RFC 3768 section 5.1, RFC 5798 section 5.1).
type Advertisement struct {
	Version  uint8 // Version2 or Version3; 0 is Version2
	VRID     uint8
	Priority uint8
	// Interval is the time between two advertisements of the master: in version 2 whole
	// seconds, 0 to 255; in version 3 hundredths of a second, up to 40.95 s.
	Interval time.Duration
	Auth     Authentication // of version 2
	VIPs     []netip.Addr   // at most 255, of one family; version 2 has IPv4 only
}

// MarshalBinary returns the bytes that follow the IP header, with a checksum of these bytes
// alone: that of version 2, and of version 3 for IPv4 as RFC 9568 section 5.2.8 has it. It
// fails where a field does not fit the layout, and the error names the field.
func (a Advertisement) MarshalBinary() ([]byte, error) {
	b, err := a.marshal()
	if err != nil {
		return nil, fmt.Errorf("vrrp advertisement: %w", err)
	}
	setChecksum(b, 0)
	return b, nil
}

// marshal lays the advertisement out, with a checksum of zero.
func (a Advertisement) marshal() ([]byte, error) {
	if len(a.VIPs) > maxVIPs {
		return nil, fmt.Errorf("%d VIPs, expected at most %d", len(a.VIPs), maxVIPs)
	}
	three := a.Version == Version3
	if err := checkInterval(a.Interval, three); err != nil {
		return nil, err
	}
	b := make([]byte, headerLen, headerLen+16*len(a.VIPs)+authDataLen+hmacLen)
	b[0] = Version2<<4 | typeAdvertisement
	b[1] = a.VRID
	b[2] = a.Priority
	b[3] = uint8(len(a.VIPs))
	if three {
		b[0] = Version3<<4 | typeAdvertisement
		binary.BigEndian.PutUint16(b[4:6], uint16(a.Interval/centisecond))
	} else {
		b[4] = uint8(a.Auth.Type)
		b[5] = uint8(a.Interval / time.Second)
	}
	for _, vip := range a.VIPs {
		if !three && !vip.Is4() {
			return nil, fmt.Errorf("VIP %s: version 2 carries IPv4 addresses only", vip)
		}
		if vip.Is4() != a.VIPs[0].Is4() {
			return nil, fmt.Errorf("VIP %s: expected one of the family of %s", vip, a.VIPs[0])
		}
		b = append(b, vip.AsSlice()...)
	}
	if !three {
		b = append(b, a.Auth.Data[:]...)
	}
	return b, nil
}

// UnmarshalBinary reads the bytes that follow the IP header, with a checksum as
// MarshalBinary makes it. It checks everything that follows from the bytes alone (version,
// type, length, checksum). Its errors are *DropError, and leave a as it was.
func (a *Advertisement) UnmarshalBinary(b []byte) error {
	// Only one length fits: 16 bytes more for an IPv6 address are not 4 more for an IPv4 one.
	addrLen := 4
	if len(b) >= headerLen && b[0]>>4 == Version3 && b[3] > 0 && len(b) == headerLen+16*int(b[3]) {
		addrLen = 16
	}
	read, err := unmarshal(b, addrLen)
	if err != nil {
		return err
	}
	if checksum(b) != 0 {
		return dropf(DropChecksum, "checksum %#04x is wrong", binary.BigEndian.Uint16(b[6:8]))
	}
	*a = read
	return nil
}

// advertLen is the length that an advertisement says that it has, with addresses of addrLen
// bytes. It looks at the first four bytes only.
func advertLen(b []byte, addrLen int) int {
	n := headerLen + addrLen*int(b[3])
	if b[0]>>4 == Version2 {
		n += authDataLen
	}
	return n
}

// unmarshal reads the layout of RFC 3768 section 5.1 or RFC 5798 section 5.1 and does not
// look at the checksum. The authentication data of version 2 is always present, even where
// the type is none. Bytes behind it are refused: the RFC does not say whether the checksum
// covers them.
func unmarshal(b []byte, addrLen int) (read Advertisement, err error) {
	if len(b) < headerLen {
		return read, dropf(DropLength, "%d bytes, expected at least %d", len(b), headerLen)
	}
	if kind := b[0] & 0x0f; kind != typeAdvertisement {
		return read, dropf(DropType, "packet type %d, expected %d", kind, typeAdvertisement)
	}
	version := b[0] >> 4
	if version != Version2 && version != Version3 {
		return read, dropf(DropVersion, "version %d, expected 2 or 3", version)
	}
	if want := advertLen(b, addrLen); len(b) != want {
		return read, dropf(DropLength, "%d bytes, expected %d for %d VIPs", len(b), want, b[3])
	}
	read = Advertisement{Version: version, VRID: b[1], Priority: b[2]}
	if version == Version3 { // the upper four bits are reserved
		read.Interval = time.Duration(binary.BigEndian.Uint16(b[4:6])&0x0fff) * centisecond
	} else {
		read.Interval = time.Duration(b[5]) * time.Second
		read.Auth.Type = AuthType(b[4])
		if read.Auth.Type != AuthHeader { // whose data is "ignored on reception" (RFC 2338, 5.3.10)
			copy(read.Auth.Data[:], b[len(b)-authDataLen:])
		}
	}
	for i := range int(b[3]) {
		vip, _ := netip.AddrFromSlice(b[headerLen+addrLen*i:][:addrLen])
		read.VIPs = append(read.VIPs, vip)
	}
	return read, nil
}

// checkInterval returns an error where version 2, or 3, cannot carry the interval.
func checkInterval(interval time.Duration, three bool) error {
	switch {
	case three && (interval%centisecond != 0 || interval < 0 || interval > maxInterval3):
		return fmt.Errorf("advertisement interval %s: version 3 carries hundredths of a second up to 40.95 s", interval)
	case !three && (interval%time.Second != 0 || interval < 0 || interval > 255*time.Second):
		return fmt.Errorf("advertisement interval %s: version 2 carries whole seconds up to 255", interval)
	}
	return nil
}

// setChecksum sets the checksum of an advertisement, to which other bytes add up to start.
func setChecksum(b []byte, start uint32) {
	b[6], b[7] = 0, 0
	binary.BigEndian.PutUint16(b[6:8], fold(sum(b)+start))
}

// checksum is the Internet checksum of b (RFC 1071). It is 0 over bytes that already
// contain their correct checksum.
func checksum(b []byte) uint16 { return fold(sum(b)) }

// sum adds up the 16-bit words of b.
func sum(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold makes a checksum of a sum.
func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudoSum is the sum of the pseudo header of version 3: the addresses, the length and the
// protocol (RFC 5798 section 5.2.8, RFC 8200 section 8.1).
func pseudoSum(source, destination netip.Addr, length int) uint32 {
	return sum(source.AsSlice()) + sum(destination.AsSlice()) + uint32(length) + Protocol
}
