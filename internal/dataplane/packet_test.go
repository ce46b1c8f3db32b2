package dataplane

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// frame describes a packet in a fixture. Its bytes and checksums are made here,
// by arithmetic of the fixtures' own.
type frame struct {
	dst, src string // Ethernet
	from, to string // address:port
	proto    string // "tcp" or "udp"
	flags    string // of TCP: S, A, F, R, P
	ttl      int    // 0 is 64
	options  int    // bytes of IPv4 options, or 8-byte blocks of IPv6 extension headers
	more     bool   // the first of several fragments, without "don't fragment"
	at       int    // where this fragment's bytes begin in the packet, a multiple of 8
	cut      int    // how many bytes of it this fragment has; 0: the rest
	id       int    // of its identification, plus 0x1234
	tags     string // VLAN tags in the frame, as "8100:100 8100:7"
	mayCut   bool   // without "don't fragment"
	payload  string
}

func (f frame) bytes() []byte {
	from, to := netip.MustParseAddrPort(f.from), netip.MustParseAddrPort(f.to)
	l4, proto := f.transport(from, to)
	ttl := byte(64)
	if f.ttl > 0 {
		ttl = byte(f.ttl)
	}
	if f.at > 0 || f.cut > 0 {
		l4 = l4[f.at:]
		if f.cut > 0 && f.cut < len(l4) {
			l4, f.more = l4[:f.cut], true
		}
	}
	b := append(append(mac(f.dst), mac(f.src)...), tagBytes(f.tags)...)
	if from.Addr().Is4() {
		return append(append(b, 0x08, 0x00), f.ip4(from.Addr(), to.Addr(), ttl, proto, l4)...)
	}
	return append(append(b, 0x86, 0xdd), f.ip6(from.Addr(), to.Addr(), ttl, proto, l4)...)
}

func (f frame) ip4(from, to netip.Addr, ttl, proto byte, l4 []byte) []byte {
	h := make([]byte, 20+f.options)
	h[0] = 0x40 | byte(len(h)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(l4)))
	binary.BigEndian.PutUint16(h[4:], uint16(0x1234+f.id))
	binary.BigEndian.PutUint16(h[6:], 0x4000)
	if f.mayCut {
		h[6] = 0
	}
	if f.more || f.at > 0 {
		binary.BigEndian.PutUint16(h[6:], uint16(f.at/8))
	}
	if f.more {
		h[6] |= 0x20
	}
	h[8], h[9] = ttl, proto
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	for i := 20; i < len(h); i++ {
		h[i] = 1 // no operation
	}
	binary.BigEndian.PutUint16(h[10:], ^sum(h))
	return append(h, l4...)
}

func (f frame) ip6(from, to netip.Addr, ttl, proto byte, l4 []byte) []byte {
	h := make([]byte, 40)
	h[0] = 0x60
	h[6], h[7] = proto, ttl
	copy(h[8:], from.AsSlice())
	copy(h[24:], to.AsSlice())
	if f.options > 0 {
		h[6] = 60 // destination options
		for i := range f.options {
			ext := make([]byte, 8)
			ext[0], ext[2], ext[3] = 60, 1, 4 // padding
			if i == f.options-1 {
				ext[0] = proto
			}
			h = append(h, ext...)
		}
	}
	if f.more || f.at > 0 {
		ext := []byte{proto, 0, byte(f.at >> 8), byte(f.at), 0, 0, 0, 0}
		binary.BigEndian.PutUint32(ext[4:], uint32(0x1234+f.id))
		if f.more {
			ext[3] |= 1
		}
		if f.options > 0 {
			h[len(h)-8] = 44
		} else {
			h[6] = 44
		}
		h = append(h, ext...)
	}
	h = append(h, l4...)
	binary.BigEndian.PutUint16(h[4:], uint16(len(h)-40))
	return h
}

// tagBytes are VLAN tags (IEEE 802.1Q), each a type and, in decimal, an identifier.
func tagBytes(tags string) (b []byte) {
	for tag := range strings.FieldsSeq(tags) {
		var kind, id uint16
		if _, err := fmt.Sscanf(tag, "%x:%d", &kind, &id); err != nil {
			panic(err)
		}
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return b
}

func (f frame) transport(from, to netip.AddrPort) ([]byte, byte) {
	var b []byte
	var proto byte
	var check int
	switch f.proto {
	case "tcp":
		b, proto, check = make([]byte, 20), 6, 16
		b[12] = 5 << 4
		for _, c := range f.flags {
			b[13] |= map[rune]byte{'F': 1, 'S': 2, 'R': 4, 'P': 8, 'A': 16}[c]
		}
		binary.BigEndian.PutUint16(b[14:], 512)
	case "udp":
		b, proto, check = make([]byte, 8), 17, 6
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(f.payload)))
	default:
		panic("fixture of protocol " + f.proto)
	}
	binary.BigEndian.PutUint16(b, from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	b = append(b, f.payload...)
	pseudo := append(append([]byte{}, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	pseudo = append(pseudo, 0, proto, byte(len(b)>>8), byte(len(b)))
	binary.BigEndian.PutUint16(b[check:], ^sum(append(pseudo, b...)))
	return b, proto
}

// sum is the ones' complement sum of RFC 1071.
func sum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func mac(s string) []byte {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// dump is a packet as lines of hex, for comparing.
func dump(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i += 16 {
		fmt.Fprintf(&s, "%04x  % x\n", i, b[i:min(i+16, len(b))])
	}
	return s.String()
}

// edit is a frame changed so.
func edit(f frame, change func(f *frame)) frame { change(&f); return f }
