package realserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

// header describes an IP header of a test packet, with its checksum.
type header struct {
	from, to string
	proto    byte
	tos      byte
	frag     uint16 // IPv4's flags and offset
	options  int    // bytes of IPv4 options
	badSum   bool
	more     int // what the length says beyond the payload
	version  byte
}

const (
	protoIPIP, protoTCP, protoUDP, protoIPv6, protoFragment, protoDstOpts = 4, 6, 17, 41, 44, 60
)

func (h header) over(payload []byte) []byte {
	from, to := netip.MustParseAddr(h.from), netip.MustParseAddr(h.to)
	if from.Is6() {
		b := make([]byte, 40, 40+len(payload))
		binary.BigEndian.PutUint32(b, 0x60012345|uint32(h.tos)<<20) // with a flow label
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)+h.more))
		b[6], b[7] = h.proto, 63
		copy(b[8:], from.AsSlice())
		copy(b[24:], to.AsSlice())
		if h.version != 0 {
			b[0] = h.version<<4 | b[0]&0xf
		}
		return append(b, payload...)
	}
	b := make([]byte, 20+h.options, 20+h.options+len(payload))
	b[0], b[1] = 0x40|byte(len(b)/4), h.tos
	if h.version != 0 {
		b[0] = h.version<<4 | b[0]&0xf
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)+h.more))
	binary.BigEndian.PutUint16(b[4:], 0x1234)
	binary.BigEndian.PutUint16(b[6:], h.frag)
	b[8], b[9] = 63, h.proto
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	for i := 20; i < len(b); i++ {
		b[i] = 1 // no operation
	}
	binary.BigEndian.PutUint16(b[10:], ^sum(b))
	if h.badSum {
		b[10] ^= 0x55
	}
	return append(b, payload...)
}

// sum is the ones' complement sum of RFC 1071.
func sum(b []byte) (s uint16) {
	var total uint32
	for i := 0; i+1 < len(b); i += 2 {
		total += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	return uint16(total)
}

// frameOf puts an Ethernet header in front; it is for lo, whose address is 0.
func frameOf(packet []byte) []byte {
	b := []byte{0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0x08, 0x00}
	if packet[0]>>4 == 6 {
		b[12], b[13] = 0x86, 0xdd
	}
	return append(b, packet...)
}

const (
	clientV4, vipV4, ripV4, directorV4 = "198.51.100.7", "192.0.2.100", "192.0.2.1", "192.0.2.254"
	clientV6, vipV6, ripV6, directorV6 = "2001:db8:9::7", "2001:db8::100", "2001:db8::1", "2001:db8::fe"
)

// tcp is a segment whose checksum is wrong on purpose: it must not be changed.
var tcp = append([]byte{0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x02, 0x00, 0xbe, 0xef, 0, 0}, "hello, world"...)

func outer(v6, inner6 bool, tos byte) header {
	h := header{from: directorV4, to: ripV4, proto: protoIPIP, frag: 0x4000, tos: tos}
	if v6 {
		h = header{from: directorV6, to: ripV6, proto: protoIPIP, tos: tos}
	}
	if inner6 {
		h.proto = protoIPv6
	}
	return h
}

func inner(v6 bool, tos byte) header {
	if v6 {
		return header{from: clientV6, to: vipV6, proto: protoTCP, tos: tos}
	}
	return header{from: clientV4, to: vipV4, proto: protoTCP, frag: 0x4000, tos: tos}
}

// program is the decapsulating program with a machine's tables, not attached to a device.
func program(t *testing.T, directors ...string) *decapObjects {
	t.Helper()
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	s := &state{Decap: &decapState{Directors: addrs(directors...)}}
	for _, vip := range addrs(vipV4, vipV6) {
		s.VIPs = append(s.VIPs, vipState{Addr: vip, Tunnel: true})
	}
	objects, err := s.loadProgram(layout{addrs: addrs(ripV4, ripV6)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objects.Close() })
	return objects
}

// skb is the part of struct __sk_buff that a test run takes (include/uapi/linux/bpf.h).
type skb struct {
	_       [41]uint32
	GSOSegs uint32
	_       [2]uint32
	GSOSize uint32
	_       uint32
	_       uint64
}

func run(t *testing.T, p *decapObjects, in []byte, gso bool) (verdict int32, out []byte) {
	t.Helper()
	o := ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+256)}
	if gso {
		o.Context = skb{GSOSegs: 2, GSOSize: 8}
	}
	v, err := p.WeirDecap.Run(&o)
	if err != nil {
		t.Fatalf("%v\n% x", err, in)
	}
	return int32(v), o.DataOut
}

const (
	goOn = -1 // TC_ACT_UNSPEC
	shot = 2  // TC_ACT_SHOT
)

func counted(t *testing.T, p *decapObjects) [decapDecapCountDECAP_COUNTS]uint64 {
	t.Helper()
	sums, err := tables{"counts": p.Counts}.counts()
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// wantOnly expects that one more packet was counted, for this reason; uncounted stands
// for none.
func wantOnly(t *testing.T, p *decapObjects, before [decapDecapCountDECAP_COUNTS]uint64, reason decapDecapCount) {
	t.Helper()
	if reason != uncounted {
		before[reason]++
	}
	if got := counted(t, p); got != before {
		t.Errorf("counts are %v, want %v", got, before)
	}
}

const uncounted = decapDecapCountDECAP_COUNTS

// Each family in each: the inner packet comes out unchanged, byte by byte, with its wrong
// checksum.
func TestDecapsulation(t *testing.T) {
	p := program(t)
	for _, outer6 := range []bool{false, true} {
		for _, inner6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s in %s", family(inner6), family(outer6)), func(t *testing.T) {
				packet := inner(inner6, 0xb8).over(tcp)
				before := counted(t, p)
				v, out := run(t, p, frameOf(outer(outer6, inner6, 0xb8).over(packet)), false)
				if want := frameOf(packet); v != goOn || !slices.Equal(out, want) {
					t.Errorf("verdict %d\n% x, want\n% x", v, out, want)
				}
				wantOnly(t, p, before, decapDecapCountDECAPSULATED)
			})
		}
	}
}

func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// RFC 6040, figure 4: rows are the inner packet's ECN field, columns the outer one's, by
// value: 0 not ECT, 1 ECT(1), 2 ECT(0), 3 CE.
func TestECN(t *testing.T) {
	const drop = 9
	want := [4][4]byte{
		0: {0, 0, 0, drop},
		1: {1, 1, 1, 3},
		2: {2, 1, 2, 3},
		3: {3, 3, 3, 3},
	}
	p := program(t)
	for families := range 4 {
		outer6, inner6 := families&1 != 0, families&2 != 0
		for in := range byte(4) {
			for out := range byte(4) {
				const dscp = 0xb8
				frame := frameOf(outer(outer6, inner6, out).over(inner(inner6, dscp|in).over(tcp)))
				before := counted(t, p)
				v, got := run(t, p, frame, false)
				mark := want[in][out]
				wantFrame, wantVerdict, reason := frameOf(inner(inner6, dscp|mark).over(tcp)), int32(goOn), decapDecapCount(decapDecapCountDECAPSULATED)
				if mark == drop {
					wantFrame, wantVerdict, reason = frame, shot, decapDecapCountDROPPED_CE
				}
				if v != wantVerdict || !slices.Equal(got, wantFrame) {
					t.Errorf("%s in %s, %d in %d: verdict %d\n% x, want %d\n% x", family(inner6), family(outer6), in, out, v, got, wantVerdict, wantFrame)
				}
				wantOnly(t, p, before, reason)
			}
		}
	}
}

// A packet that is not a tunnelled one for a VIP passes unchanged, and is counted.
func TestNotTaken(t *testing.T) {
	open, limited := program(t), program(t, directorV4)
	in4, in6 := inner(false, 0).over(tcp), inner(true, 0).over(tcp)
	change := func(h header, f func(*header)) header { f(&h); return h }
	out4, out6 := outer(false, false, 0), outer(true, true, 0)
	extension := func(kind, next byte, inner []byte) []byte {
		return change(out6, func(h *header) { h.proto = kind }).over(append([]byte{next, 0, 0, 0, 0, 0, 0, 1}, inner...))
	}
	whole := out4.over(in4)
	for _, tt := range []struct {
		name   string
		p      *decapObjects
		packet []byte
		want   decapDecapCount
	}{
		{"no tunnel", open, in4, uncounted},
		{"no tunnel, IPv6", open, in6, uncounted},
		{"sent to a VIP", open, change(out4, func(h *header) { h.to = vipV4 }).over(in4), decapDecapCountPASSED_ADDRESS},
		{"sent to another address", open, change(out6, func(h *header) { h.to = "2001:db8::2" }).over(in6), decapDecapCountPASSED_ADDRESS},
		{"for no VIP", open, out4.over(change(inner(false, 0), func(h *header) { h.to = ripV4 }).over(tcp)), decapDecapCountPASSED_INNER},
		{"for no VIP, IPv6", open, out6.over(change(inner(true, 0), func(h *header) { h.to = "::1" }).over(tcp)), decapDecapCountPASSED_INNER},
		{"a director", limited, whole, decapDecapCountDECAPSULATED},
		{"no director", limited, change(out4, func(h *header) { h.from = clientV4 }).over(in4), decapDecapCountPASSED_SOURCE},
		{"no director, IPv6", limited, out6.over(in6), decapDecapCountPASSED_SOURCE},
		{"first fragment", open, change(out4, func(h *header) { h.frag = 0x2000 }).over(in4), decapDecapCountPASSED_FRAGMENT},
		{"later fragment", open, change(out4, func(h *header) { h.frag = 0x0010 }).over(in4), decapDecapCountPASSED_FRAGMENT},
		{"fragment, IPv6", open, extension(protoFragment, protoIPv6, in6), decapDecapCountPASSED_FRAGMENT},
		{"fragment of no tunnel, IPv6", open, extension(protoFragment, protoUDP, tcp), uncounted},
		{"outer options", open, change(out4, func(h *header) { h.options = 4 }).over(in4), decapDecapCountPASSED_OPTIONS},
		{"outer destination option", open, extension(protoDstOpts, protoIPv6, in6), decapDecapCountPASSED_OPTIONS},
		{"destination option of no tunnel", open, extension(protoDstOpts, protoTCP, tcp), uncounted},
		{"wrong outer sum", open, change(out4, func(h *header) { h.badSum = true }).over(in4), decapDecapCountPASSED_MALFORMED},
		{"outer length too long", open, change(out4, func(h *header) { h.more = 1 }).over(in4), decapDecapCountPASSED_MALFORMED},
		{"outer length too long, IPv6", open, change(out6, func(h *header) { h.more = 1 }).over(in6), decapDecapCountPASSED_MALFORMED},
		{"outer length shorter than the inner", open, change(out4, func(h *header) { h.more = -1 }).over(in4), decapDecapCountPASSED_MALFORMED},
		{"inner length too long, IPv6", open, out6.over(change(inner(true, 0), func(h *header) { h.more = 1 }).over(tcp)), decapDecapCountPASSED_MALFORMED},
		{"inner version 6 in protocol 4", open, out4.over(in6), decapDecapCountPASSED_MALFORMED},
		{"inner version 4 in protocol 41", open, out6.over(in4), decapDecapCountPASSED_MALFORMED},
		{"inner header cut", open, out4.over(in4[:19]), decapDecapCountPASSED_MALFORMED},
		{"inner header cut, IPv6", open, out6.over(in6[:39]), decapDecapCountPASSED_MALFORMED},
		{"outer version 5", open, change(out4, func(h *header) { h.version = 5 }).over(in4), uncounted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frame := frameOf(tt.packet)
			want := frame
			if tt.want == decapDecapCountDECAPSULATED {
				want = frameOf(in4)
			}
			before := counted(t, tt.p)
			if v, out := run(t, tt.p, frame, false); v != goOn || !slices.Equal(out, want) {
				t.Errorf("verdict %d\n% x, want %d\n% x", v, out, goOn, want)
			}
			wantOnly(t, tt.p, before, tt.want)
		})
	}
}

// A frame may be longer than its packet: the rest is padding, which the kernel removes by
// the inner packet's length.
func TestPadding(t *testing.T) {
	p := program(t)
	packet := inner(false, 0).over(tcp)
	v, out := run(t, p, append(frameOf(outer(false, false, 0).over(packet)), 1, 2, 3), false)
	if want := append(frameOf(packet), 1, 2, 3); v != goOn || !slices.Equal(out, want) {
		t.Errorf("verdict %d\n% x, want\n% x", v, out, want)
	}
}

// Frames to other hosts pass unchanged, whatever they contain.
func TestOthersFrames(t *testing.T) {
	p := program(t)
	frame := frameOf(outer(false, false, 0).over(inner(false, 0).over(tcp)))
	frame[5] = 9
	before := counted(t, p)
	if v, out := run(t, p, frame, false); v != goOn || !slices.Equal(out, frame) {
		t.Errorf("verdict %d\n% x, want it untouched", v, out)
	}
	wantOnly(t, p, before, uncounted)
}

// The kernel's helper refuses a GSO packet that is neither TCP nor UDP: it passes.
func TestRefusedByTheKernel(t *testing.T) {
	p := program(t)
	frame := frameOf(outer(false, false, 0).over(inner(false, 0).over(tcp)))
	before := counted(t, p)
	if v, out := run(t, p, frame, true); v != goOn || !slices.Equal(out, frame) {
		t.Errorf("verdict %d\n% x, want it untouched", v, out)
	}
	wantOnly(t, p, before, decapDecapCountPASSED_REFUSED)
}
