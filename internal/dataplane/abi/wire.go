// Package abi is what the eBPF programs and Go share: the object, its types and
// numbers, which bpf2go generates from bpf/abi.h, and how Go's values are written as
// these types. Addresses and ports are in network byte order; on the little-endian
// machines that the object is built for a port's bytes are swapped when it is read as
// a number.
package abi

import (
	"encoding/binary"
	"net"
	"net/netip"

	"weir/lvs"
)

// AddrOf writes an address as the tables hold it: IPv4 as ::ffff:a.b.c.d.
func AddrOf(a netip.Addr) BpfAddr {
	b := a.As16()
	return BpfAddr{Hi: binary.NativeEndian.Uint64(b[:8]), Lo: binary.NativeEndian.Uint64(b[8:])}
}

// Netip reads an address; an IPv4-mapped one is returned as IPv4.
func (a BpfAddr) Netip() netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], a.Hi)
	binary.NativeEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b).Unmap()
}

// NetmaskOf writes a netmask for addresses as the tables hold them. The zero Addr
// masks nothing.
func NetmaskOf(mask netip.Addr) BpfAddr {
	if !mask.IsValid() {
		return BpfAddr{Hi: ^uint64(0), Lo: ^uint64(0)}
	}
	return AddrOf(mask)
}

// MaskOf is a mask of that many leading ones, of 128 bits.
func MaskOf(bits int) BpfAddr {
	var b [16]byte
	for i := range bits {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return AddrOf(netip.AddrFrom16(b))
}

// Port converts a port between host and network byte order, in either direction.
func Port(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

// ServiceKeyOf writes the key of a service.
func ServiceKeyOf(k lvs.ServiceKey) BpfServiceKey {
	return BpfServiceKey{Vip: AddrOf(k.Addr), Port: Port(k.Port), Protocol: uint8(k.Protocol), Mark: k.Mark}
}

// LVS reads the key of a service.
func (k BpfServiceKey) LVS() lvs.ServiceKey {
	return lvs.ServiceKey{Protocol: lvs.Protocol(k.Protocol), Addr: k.Vip.Netip(), Port: Port(k.Port), Mark: k.Mark}
}

// MarkPrefixOf writes the destination of firewall mark rules. Its bits are counted
// from the front of the IPv4-mapped address.
func MarkPrefixOf(p netip.Prefix) (key BpfMarkPrefix) {
	b := p.Addr().As16()
	key.Bits = uint32(p.Bits())
	for i := range key.Addr {
		key.Addr[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return key
}

// Netip reads the destination of firewall mark rules. It stays IPv4-mapped.
func (k BpfMarkPrefix) Netip() netip.Prefix {
	var b [16]byte
	for i, word := range k.Addr {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), int(k.Bits))
}

// PrefixOf is a network as the key of a table of prefixes.
func PrefixOf(p netip.Prefix) BpfPrefix {
	if p.Addr().Is4() {
		p = netip.PrefixFrom(netip.AddrFrom16(p.Addr().As16()), p.Bits()+mappedBits)
	}
	return BpfPrefix(MarkPrefixOf(p.Masked()))
}

// mappedBits is how many bits stand before an IPv4 address in its mapped form.
const mappedBits = 96

// Netip reads a network from the key of a table of prefixes.
func (k BpfPrefix) Netip() netip.Prefix {
	p := BpfMarkPrefix(k).Netip()
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p
}

// AccessKeyOf is a rule as the key of the table of rules.
func AccessKeyOf(r lvs.AccessRule) BpfAccessKey {
	network := PrefixOf(r.Network)
	return BpfAccessKey{Bits: AccessHeadBits + network.Bits, Protocol: uint8(r.Protocol), Port: Port(r.Port), Addr: network.Addr}
}

// Rule reads a rule from its key.
func (k BpfAccessKey) Rule() lvs.AccessRule {
	network := BpfPrefix{Bits: k.Bits - AccessHeadBits, Addr: k.Addr}
	return lvs.AccessRule{Network: network.Netip(), Protocol: lvs.Protocol(k.Protocol), Port: Port(k.Port)}
}

// Kind is the bits of the rule's kind (AccessByProtocol | AccessByPort).
func (k BpfAccessKey) Kind() (kind uint32) {
	if k.Protocol != 0 {
		kind |= AccessByProtocol
	}
	if k.Port != 0 {
		kind |= AccessByPort
	}
	return kind
}

// AddrPort is the address and port of a server.
func (s BpfServer) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(s.Addr.Netip(), Port(s.Port))
}

// AddrSlot is which byte of the filter of addresses an address has, as addr_not of
// bpf/service/addr_filter.h has it.
func AddrSlot(a BpfAddr) int { return int((a.Hi + a.Lo) * Golden64 >> AddrSlotShift) }

// ServiceSlot is which slot a service's key has, as service_slot of
// bpf/service/service_slots.h has it.
func ServiceSlot(k BpfServiceKey) int {
	word := uint64(k.Port) | uint64(k.Protocol)<<16 | uint64(k.Mark)<<32
	return int((k.Vip.Hi + k.Vip.Lo + word) * Golden64 >> ServiceSlotShift)
}

// MACWord is an Ethernet address as the low six bytes of a word, its first byte
// lowest, as in mac_word of bpf/.
func MACWord(mac net.HardwareAddr) uint64 {
	var b [8]byte
	copy(b[:6], mac)
	return binary.LittleEndian.Uint64(b[:])
}

// WordMAC reads an Ethernet address from a word.
func WordMAC(word uint64) net.HardwareAddr {
	return binary.LittleEndian.AppendUint64(nil, word)[:6]
}

// DirectorBit is an Ethernet address's bit in the filter of directors, as director_bit
// of bpf/service/lease.h has it.
func DirectorBit(mac uint64) uint64 {
	return 1 << ((mac>>DirectorHighShift ^ mac>>DirectorLowShift) & DirectorMask)
}

// PortsWord is the ports and the protocol of a flow's key. The ports are in network
// byte order.
func PortsWord(from, to uint16, protocol uint8) uint64 {
	return uint64(from) | uint64(to)<<PortsToShift | uint64(protocol)<<PortsProtocolShift
}

// Read is a connection's state, how its packets are forwarded, without the method's
// flags, and its server's index.
func (c BpfConn) Read() (state BpfConnState, method BpfMethod, server uint32) {
	return BpfConnState(c.Word >> WordStateShift & WordField), BpfMethod(c.Word >> WordMethodShift & MethodMask), uint32(c.Word)
}

// Lives says whether the slot has a connection.
func (c BpfConn) Lives() bool {
	state, _, _ := c.Read()
	return state != BpfConnStateSTATE_NONE && state != BpfConnStateSTATE_NEW && state != BpfConnStateSTATE_GONE
}

// Bucket is a bucket of the index of connections (struct bucket of bpf/abi.h).
type Bucket struct {
	Refs [BucketRefs]uint64
	More uint32
	_    uint32
}

// Row is one element of a scheduler's table (struct row of bpf/abi.h).
type Row [RowWords]uint64

// TurnWord is a slot of a cycle's table, as turn_of of bpf/sched/cycle.h reads it.
// Level and place are counted from 1.
func TurnWord(level, place, server uint32) uint64 {
	return uint64(level-1)<<TurnLevelShift | uint64(place-1)<<TurnPlaceShift | uint64(server)
}

// ShareWord is a server of the list behind a cycle's table, as round_entry of
// bpf/sched/cycle.h reads it.
func ShareWord(turns, server uint32) uint64 {
	return uint64(turns)<<ListTurnsShift | uint64(server)
}

// TemplateEntry is the expiry entry of a template (struct template_entry of bpf/abi.h).
type TemplateEntry struct {
	Key        BpfTemplateKey
	Taken, Due uint32
}
