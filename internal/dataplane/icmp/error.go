// Package icmp tells clients of ICMP errors about the tunnels that their packets take.
package icmp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
)

// OuterError is an ICMP error about the outer header of a packet in a tunnel. It comes from a router
// on the path to the server, to this machine, whose address is the header's source.
// The client is told (ip_vs_in_icmp, net/netfilter/ipvs/ip_vs_core.c). The programs at the
// devices cannot do that: only the kernel's routes know the next hop to the client.
type OuterError struct {
	kind, code byte
	MTU        int        // of the next link, in bytes, where the packet was too big
	From, To   netip.Addr // of the outer header: ours, and the server's
	Inner      []byte     // the client's packet, as much as is quoted
}

// Types and codes of ICMP and ICMPv6 (RFC 792, RFC 4443).
const (
	icmp4Unreachable, icmp4Host, icmp4Fragment = 3, 1, 4
	icmp4Quench, icmp4TimeExceeded             = 4, 11
	icmp6Unreachable, icmp6Address, icmp6Big   = 1, 3, 2
	icmp6Informational                         = 0x80
)

// Bytes of headers, and of the longest errors that are sent (RFC 1812 section
// 4.3.2.3, RFC 4443 section 2.4c).
const (
	header4, header6, icmpHeader = 20, 40, 8
	longest4, longest6           = 576, 1280
)

// ParseOuterError reads an error, from its ICMP header on. Ok is false where the error is
// malformed or is not about a packet in a tunnel.
func ParseOuterError(message []byte, ip6 bool) (e OuterError, ok bool) {
	if len(message) < icmpHeader {
		return e, false
	}
	e.kind, e.code = message[0], message[1]
	quoted := message[icmpHeader:]
	if ip6 {
		if e.kind == icmp6Big {
			e.MTU = int(min(binary.BigEndian.Uint32(message[4:]), 1<<16))
		}
		if e.kind&icmp6Informational != 0 || len(quoted) < header6 || !tunnels(quoted[6]) {
			return e, false
		}
		e.From, e.To, e.Inner = netip.AddrFrom16([16]byte(quoted[8:])), netip.AddrFrom16([16]byte(quoted[24:])), quoted[header6:]
		return e, true
	}
	if internetSum(0, message) != 0xffff || len(quoted) < header4 || !tunnels(quoted[9]) {
		return e, false
	}
	if e.kind != icmp4Unreachable && e.kind != icmp4Quench && e.kind != icmp4TimeExceeded {
		return e, false
	}
	if e.TooBig() {
		e.MTU = int(binary.BigEndian.Uint16(message[6:]))
	}
	length := int(quoted[0]&15) * 4
	if length < header4 || len(quoted) < length || binary.BigEndian.Uint16(quoted[6:])&0x1fff != 0 { // a later fragment
		return e, false
	}
	e.From, e.To, e.Inner = netip.AddrFrom4([4]byte(quoted[12:])), netip.AddrFrom4([4]byte(quoted[16:])), quoted[length:]
	return e, true
}

func tunnels(protocol byte) bool {
	return protocol == unix.IPPROTO_IPIP || protocol == unix.IPPROTO_IPV6
}

// TooBig says whether the packet did not fit the next link.
func (e *OuterError) TooBig() bool {
	if e.From.Is6() {
		return e.kind == icmp6Big
	}
	return e.kind == icmp4Unreachable && e.code == icmp4Fragment
}

// OuterBytes is the length of the outer header, in bytes.
func (e *OuterError) OuterBytes() int {
	if e.From.Is6() {
		return header6
	}
	return header4
}

// InnerKey is the flow of the client's packet, where enough of it is quoted, and
// where the packet's own length has room for it.
func (e *OuterError) InnerKey() (key abi.BpfFlowKey, ok bool) {
	b := e.Inner
	var protocol byte
	var ports []byte
	switch {
	case len(b) >= header4 && b[0]>>4 == 4:
		length := int(b[0]&15) * 4
		if length < header4 || min(len(b), int(binary.BigEndian.Uint16(b[2:]))) < length+4 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return key, false
		}
		protocol, ports = b[9], b[length:]
		key.From, key.To = abi.AddrOf(netip.AddrFrom4([4]byte(b[12:]))), abi.AddrOf(netip.AddrFrom4([4]byte(b[16:])))
	case len(b) >= header6+4 && b[0]>>4 == 6 && binary.BigEndian.Uint16(b[4:]) >= 4:
		protocol, ports = b[6], b[header6:]
		key.From, key.To = abi.AddrOf(netip.AddrFrom16([16]byte(b[8:]))), abi.AddrOf(netip.AddrFrom16([16]byte(b[24:])))
	default:
		return key, false
	}
	if protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP {
		return key, false
	}
	key.Ports = abi.PortsWord(binary.NativeEndian.Uint16(ports), binary.NativeEndian.Uint16(ports[2:]), protocol)
	return key, true
}

// About is the error that the client gets about its packet; mtu, in bytes, is the length
// that would have passed. Between IPv4 and IPv4 the kernel keeps type and code; otherwise
// every error but "too big" becomes "address unreachable" (RFC 2473 section 8).
func (e *OuterError) About(mtu int) []byte {
	if e.Inner[0]>>4 == 4 {
		kind, code, rest := byte(icmp4Unreachable), byte(icmp4Host), uint32(0)
		if e.TooBig() {
			code, rest = icmp4Fragment, uint32(mtu)
		} else if e.From.Is4() {
			kind, code = e.kind, e.code
		}
		return icmp4Error(kind, code, rest, e.Inner)
	}
	if e.TooBig() {
		return icmp6Error(icmp6Big, 0, uint32(mtu), e.Inner)
	}
	return icmp6Error(icmp6Unreachable, icmp6Address, 0, e.Inner)
}

// icmp4Error is an error about a packet, from the packet's destination to its source.
func icmp4Error(kind, code byte, rest uint32, about []byte) []byte {
	about = about[:min(len(about), int(binary.BigEndian.Uint16(about[2:])), longest4-header4-icmpHeader)]
	b := make([]byte, header4+icmpHeader, longest4)
	b[0], b[1], b[8], b[9] = 0x45, about[1]&0x1e|0xc0, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(about)))
	copy(b[12:], about[16:20])
	copy(b[16:], about[12:16])
	binary.BigEndian.PutUint16(b[10:], ^internetSum(0, b[:header4]))
	b[20], b[21] = kind, code
	binary.BigEndian.PutUint32(b[24:], rest)
	b = append(b, about...)
	binary.BigEndian.PutUint16(b[22:], ^internetSum(0, b[header4:]))
	return b
}

func icmp6Error(kind, code byte, rest uint32, about []byte) []byte {
	about = about[:min(len(about), header6+int(binary.BigEndian.Uint16(about[4:])), longest6-header6-icmpHeader)]
	b := make([]byte, header6+icmpHeader, longest6)
	b[0], b[6], b[7] = 0x60, unix.IPPROTO_ICMPV6, 64
	binary.BigEndian.PutUint16(b[4:], uint16(icmpHeader+len(about)))
	copy(b[8:], about[24:40])
	copy(b[24:], about[8:24])
	b[40], b[41] = kind, code
	binary.BigEndian.PutUint32(b[44:], rest)
	b = append(b, about...)
	pseudo := uint32(internetSum(unix.IPPROTO_ICMPV6+uint32(len(b)-header6), b[8:header6]))
	binary.BigEndian.PutUint16(b[42:], ^internetSum(pseudo, b[header6:]))
	return b
}

// internetSum adds bytes to a ones' complement sum (RFC 1071).
func internetSum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// MayFragment says whether routers may fragment the client's packet. Its sender then
// expects no "too big" error.
func (e *OuterError) MayFragment() bool { return e.Inner[0]>>4 == 4 && e.Inner[6]&0x40 == 0 }
