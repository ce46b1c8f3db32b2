// Package vrrp is the Virtual Router Redundancy Protocol, version 2 (RFC 3768) with the
// authentication of RFC 2338: the codec of its advertisements ("adverts" for short), the
// Instance state machine that decides which director is master, and the sockets that
// carry the adverts. It imports nothing of weir's.
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

const (
	version2 = 2

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
	AuthHeader   AuthType = 2 // auth_type AH
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
	Data [authDataLen]byte // present in the packet with every type
}

// Password is the authentication of keepalived's auth_type PASS: the first eight bytes
// of pass, padded with zeros.
func Password(pass string) Authentication {
	auth := Authentication{Type: AuthPassword}
	copy(auth.Data[:], pass)
	return auth
}

// Advertisement is the only packet of VRRP (RFC 3768 section 5.1).
type Advertisement struct {
	VRID     uint8
	Priority uint8
	// Interval is the time between two advertisements of the master, in whole seconds,
	// 0 to 255.
	Interval time.Duration
	Auth     Authentication
	VIPs     []netip.Addr // IPv4, at most 255
}

// MarshalBinary returns the bytes that follow the IP header, with the checksum. It fails
// where a field does not fit the layout, and the error names the field.
func (a Advertisement) MarshalBinary() ([]byte, error) {
	if len(a.VIPs) > maxVIPs {
		return nil, fmt.Errorf("vrrp advertisement: %d VIPs, expected at most %d", len(a.VIPs), maxVIPs)
	}
	if err := checkInterval2(a.Interval); err != nil {
		return nil, fmt.Errorf("vrrp advertisement: %w", err)
	}
	b := make([]byte, headerLen, headerLen+4*len(a.VIPs)+authDataLen)
	b[0] = version2<<4 | typeAdvertisement
	b[1] = a.VRID
	b[2] = a.Priority
	b[3] = uint8(len(a.VIPs))
	b[4] = uint8(a.Auth.Type)
	b[5] = uint8(a.Interval / time.Second)
	for _, vip := range a.VIPs {
		if !vip.Is4() {
			return nil, fmt.Errorf("vrrp advertisement: VIP %s: version 2 carries IPv4 addresses only", vip)
		}
		four := vip.As4()
		b = append(b, four[:]...)
	}
	b = append(b, a.Auth.Data[:]...)
	binary.BigEndian.PutUint16(b[6:8], checksum(b))
	return b, nil
}

// UnmarshalBinary reads the bytes that follow the IP header. It checks everything that
// follows from the bytes alone (version, type, length, checksum). Its errors are
// *DropError, and leave a as it was.
func (a *Advertisement) UnmarshalBinary(b []byte) error {
	if len(b) < headerLen {
		return dropf(DropLength, "%d bytes, expected at least %d", len(b), headerLen)
	}
	if kind := b[0] & 0x0f; kind != typeAdvertisement {
		return dropf(DropType, "packet type %d, expected %d", kind, typeAdvertisement)
	}
	switch version := b[0] >> 4; version {
	case version2:
		return a.unmarshal2(b)
	default:
		return dropf(DropVersion, "version %d, expected %d", version, version2)
	}
}

// unmarshal2 reads the layout of RFC 3768 section 5.1. The authentication data is always
// present and covered by the checksum, even where the type is none. Bytes behind it are
// refused: the RFC does not say whether the checksum covers them.
func (a *Advertisement) unmarshal2(b []byte) error {
	count := int(b[3])
	if want := headerLen + 4*count + authDataLen; len(b) != want {
		return dropf(DropLength, "%d bytes, expected %d for %d VIPs", len(b), want, count)
	}
	if checksum(b) != 0 {
		return dropf(DropChecksum, "checksum %#04x is wrong", binary.BigEndian.Uint16(b[6:8]))
	}
	read := Advertisement{
		VRID:     b[1],
		Priority: b[2],
		Interval: time.Duration(b[5]) * time.Second,
		Auth:     Authentication{Type: AuthType(b[4])},
	}
	addresses, auth := b[headerLen:headerLen+4*count], b[headerLen+4*count:]
	for i := range count {
		read.VIPs = append(read.VIPs, netip.AddrFrom4([4]byte(addresses[4*i:])))
	}
	copy(read.Auth.Data[:], auth)
	*a = read
	return nil
}

// checkInterval2 returns an error where version 2 cannot carry the interval.
func checkInterval2(interval time.Duration) error {
	if interval%time.Second != 0 || interval < 0 || interval > 255*time.Second {
		return fmt.Errorf("advertisement interval %s: version 2 carries whole seconds up to 255", interval)
	}
	return nil
}

// checksum is the Internet checksum of b (RFC 1071). It is 0 over bytes that already
// contain their correct checksum.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
