package dataplane

import (
	"encoding/binary"
	"net"
	"net/netip"

	"weir/lvs"
)

// The tables hold addresses and ports in network byte order; on the
// little-endian machines that the object is built for a port's bytes are
// swapped when it is read as a number.

func wireAddr(a netip.Addr) bpfAddr {
	b := a.As16()
	return bpfAddr{Hi: binary.NativeEndian.Uint64(b[:8]), Lo: binary.NativeEndian.Uint64(b[8:])}
}

// netmaskWords is a netmask as a mapped address is masked; the zero Addr masks nothing.
func netmaskWords(mask netip.Addr) bpfAddr {
	if !mask.IsValid() {
		return bpfAddr{Hi: ^uint64(0), Lo: ^uint64(0)}
	}
	return wireAddr(mask)
}

func (a bpfAddr) netip() netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], a.Hi)
	binary.NativeEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b).Unmap()
}

func wirePort(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

func wireService(k lvs.ServiceKey) bpfServiceKey {
	return bpfServiceKey{Vip: wireAddr(k.Addr), Port: wirePort(k.Port), Protocol: uint8(k.Protocol), Mark: k.Mark}
}

func (k bpfServiceKey) lvs() lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.Protocol(k.Protocol), Addr: k.Vip.netip(), Port: wirePort(k.Port), Mark: k.Mark}
}

// A prefix of marks' destinations counts its bits from the front of the mapped
// address.
func wirePrefix(p netip.Prefix) (key bpfMarkPrefix) {
	b := p.Addr().As16()
	key.Bits = uint32(p.Bits())
	for i := range key.Addr {
		key.Addr[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return key
}

func (k bpfMarkPrefix) prefix() netip.Prefix {
	var b [16]byte
	for i, word := range k.Addr {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), int(k.Bits))
}

// macWord is an Ethernet address as the low six bytes of a word, its first byte
// lowest (mac_word in bpf/parse.h).
func macWord(mac net.HardwareAddr) uint64 {
	var b [8]byte
	copy(b[:6], mac)
	return binary.LittleEndian.Uint64(b[:])
}

func wordMAC(word uint64) net.HardwareAddr {
	return binary.LittleEndian.AppendUint64(nil, word)[:6]
}
