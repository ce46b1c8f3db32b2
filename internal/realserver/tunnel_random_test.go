package realserver

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The program does the same as the model below with random frames, whole, cut or mutated:
// byte by byte and counter by counter.
func TestRandomTunnelPackets(t *testing.T) {
	const packets = 100_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p := program(t, directorV4, directorV6)
	var want [decapDecapCountDECAP_COUNTS]uint64
	for i := range packets {
		in := randomTunnelled(r)
		out, reason := model(in)
		v, got := run(t, p, in, false)
		wantVerdict := int32(goOn)
		if reason == decapDecapCountDROPPED_CE {
			wantVerdict = shot
		}
		if v != wantVerdict || !slices.Equal(got, out) {
			t.Fatalf("packet %d, which the model counts under %d: verdict %d\n% x\ngives\n% x, want\n% x", i, reason, v, in, got, out)
		}
		if reason != uncounted {
			want[reason]++
		}
	}
	if got := counted(t, p); got != want {
		t.Errorf("counts are %v, want %v", got, want)
	}
	for reason, n := range want {
		if n == 0 && decapDecapCount(reason) != decapDecapCountPASSED_REFUSED {
			t.Errorf("no packet was for count %d: this test proves too little", reason)
		}
	}
	t.Logf("counts %v", want)
}

// model is the plain model of decapsulation.
func model(in []byte) (out []byte, reason decapDecapCount) {
	length, inner6, reason := modelOuter(in)
	if reason != decapDecapCountDECAPSULATED {
		return in, reason
	}
	packet := in[14+length:]
	carried := len(packet)
	if length == 20 {
		carried = int(binary.BigEndian.Uint16(in[16:])) - length
	} else {
		carried = min(carried, int(binary.BigEndian.Uint16(in[18:])))
	}
	to, from := modelInner(packet, carried, inner6), modelFrom(in)
	switch {
	case !to.IsValid():
		return in, decapDecapCountPASSED_MALFORMED
	case from != netip.MustParseAddr(directorV4) && from != netip.MustParseAddr(directorV6):
		return in, decapDecapCountPASSED_SOURCE
	case to != netip.MustParseAddr(vipV4) && to != netip.MustParseAddr(vipV6):
		return in, decapDecapCountPASSED_INNER
	}
	mark, ok := modelECN(ecnOf(packet), ecnOf(in[14:]))
	if !ok {
		return in, decapDecapCountDROPPED_CE
	}
	out = slices.Concat(in[:14], packet)
	if out[12], out[13] = 0x08, 0x00; inner6 {
		out[12], out[13] = 0x86, 0xdd
	}
	setECN(out[14:], mark)
	return out, decapDecapCountDECAPSULATED
}

// modelOuter is the outer header's length, and whether IPv6 is in it.
func modelOuter(in []byte) (length int, inner6 bool, reason decapDecapCount) {
	ip := in[14:]
	v6 := in[12] == 0x86 && in[13] == 0xdd
	proto := func(p byte) bool { return p == protoIPIP || p == protoIPv6 }
	addressed := func(a []byte) bool {
		addr, _ := netip.AddrFromSlice(a)
		return addr == netip.MustParseAddr(ripV4) || addr == netip.MustParseAddr(ripV6)
	}
	switch {
	case !v6 && !(in[12] == 0x08 && in[13] == 0x00):
		return 0, false, uncounted
	case !v6:
		length = 20
		switch words := int(ip[0] & 0xf); {
		case ip[0]>>4 != 4 || !proto(ip[9]):
			return 0, false, uncounted
		case !addressed(ip[16:20]):
			return 0, false, decapDecapCountPASSED_ADDRESS
		case binary.BigEndian.Uint16(ip[6:])&0x3fff != 0:
			return 0, false, decapDecapCountPASSED_FRAGMENT
		case words > 5:
			return 0, false, decapDecapCountPASSED_OPTIONS
		case words < 5, sum(ip[:20]) != 0xffff:
			return 0, false, decapDecapCountPASSED_MALFORMED
		}
		total := int(binary.BigEndian.Uint16(ip[2:]))
		if total < 20 || total > len(ip) {
			return 0, false, decapDecapCountPASSED_MALFORMED
		}
		return length, ip[9] == protoIPv6, decapDecapCountDECAPSULATED
	}
	reason = decapDecapCountDECAPSULATED
	if len(ip) < 40 || ip[0]>>4 != 6 {
		return 0, false, uncounted
	}
	if next := ip[6]; !proto(next) {
		known := next == protoFragment || next == protoDstOpts || next == 0 || next == 43
		if !known || len(ip) < 48 || !proto(ip[40]) {
			return 0, false, uncounted
		}
		if reason = decapDecapCountPASSED_OPTIONS; next == protoFragment {
			reason = decapDecapCountPASSED_FRAGMENT
		}
	}
	if !addressed(ip[24:40]) {
		return 0, false, decapDecapCountPASSED_ADDRESS
	}
	if reason == decapDecapCountDECAPSULATED && 40+int(binary.BigEndian.Uint16(ip[4:])) > len(ip) {
		reason = decapDecapCountPASSED_MALFORMED
	}
	return 40, ip[6] == protoIPv6, reason
}

func modelFrom(in []byte) netip.Addr {
	from := in[26:30]
	if in[14]>>4 == 6 {
		from = in[22:38]
	}
	a, _ := netip.AddrFromSlice(from)
	return a
}

// modelInner is the inner packet's destination; none where it is malformed.
func modelInner(ip []byte, carried int, v6 bool) (to netip.Addr) {
	if v6 {
		if len(ip) >= 40 && ip[0]>>4 == 6 && 40+int(binary.BigEndian.Uint16(ip[4:])) <= carried {
			to, _ = netip.AddrFromSlice(ip[24:40])
		}
		return to
	}
	if len(ip) < 20 || ip[0]>>4 != 4 || ip[0]&0xf < 5 {
		return to
	}
	if total := int(binary.BigEndian.Uint16(ip[2:])); total >= int(ip[0]&0xf)*4 && total <= carried {
		to, _ = netip.AddrFromSlice(ip[16:20])
	}
	return to
}

// modelECN is RFC 6040, figure 4; where it is not ok, the packet is dropped.
func modelECN(inner, outer byte) (mark byte, ok bool) {
	switch {
	case inner == 0:
		return 0, outer != 3
	case inner == 3 || outer == 3:
		return 3, true
	case outer == 1:
		return 1, true
	}
	return inner, true
}

func ecnOf(ip []byte) byte {
	if ip[0]>>4 == 6 {
		return ip[1] >> 4 & 3
	}
	return ip[1] & 3
}

// setECN sets the ECN field and updates the header's checksum: one that was wrong stays
// wrong by the same difference.
func setECN(ip []byte, mark byte) {
	if ip[0]>>4 == 6 {
		ip[1] = ip[1]&^0x30 | mark<<4
		return
	}
	if ip[1]&3 == mark {
		return
	}
	// RFC 1624, equation 3.
	old := binary.BigEndian.Uint16(ip)
	ip[1] = ip[1]&^3 | mark
	s := uint32(^binary.BigEndian.Uint16(ip[10:])) + uint32(^old) + uint32(binary.BigEndian.Uint16(ip))
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(s))
}

// randomTunnelled is a random frame; half of them are whole and for a VIP.
func randomTunnelled(r *rand.Rand) []byte {
	outer6, inner6 := r.IntN(2) == 0, r.IntN(2) == 0
	in, out := inner(inner6, byte(r.Uint32())), outer(outer6, inner6, byte(r.Uint32()))
	if r.IntN(10) == 0 {
		in.to = map[bool]string{false: ripV4, true: ripV6}[inner6]
	}
	if r.IntN(10) == 0 {
		out.from = map[bool]string{false: clientV4, true: clientV6}[outer6]
	}
	if r.IntN(20) == 0 {
		out.to = map[bool]string{false: "192.0.2.2", true: "2001:db8::2"}[outer6]
	}
	if r.IntN(20) == 0 && !outer6 {
		out.options = 4 * r.IntN(11)
	}
	if r.IntN(20) == 0 {
		out.frag = uint16(r.Uint32())
	}
	if r.IntN(20) == 0 {
		out.more = r.IntN(5) - 2
	}
	packet := in.over(append(slices.Clone(tcp), make([]byte, r.IntN(1+r.IntN(1400)))...))
	if outer6 && r.IntN(10) == 0 {
		kinds := []byte{0, 43, protoFragment, protoDstOpts, 51}
		packet = append([]byte{out.proto, 0, 0, 0, 0, 0, 0, 1}, packet...)
		out.proto = kinds[r.IntN(len(kinds))]
	}
	return spoilt(r, frameOf(out.over(packet)))
}

// spoilt cuts or mutates half of the frames. A test run needs at least an outer header.
func spoilt(r *rand.Rand, b []byte) []byte {
	switch r.IntN(6) {
	case 0:
		whole := 14 + 20
		if b[12] == 0x86 {
			whole = 14 + 40
		}
		return b[:whole+r.IntN(len(b)-whole+1)]
	case 1:
		for range 1 + r.IntN(4) {
			b[12+r.IntN(len(b)-12)] = byte(r.Uint32())
		}
	case 2: // in the headers
		for range 1 + r.IntN(3) {
			b[12+r.IntN(min(len(b), 90)-12)] ^= 1 << r.IntN(8)
		}
	}
	return b
}
