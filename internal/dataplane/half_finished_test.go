package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/lvs"
)

// A client that leaves checksums to its device sends packets that have only the pseudo
// header's sum in them, and Linux finishes them where a device on the way does not: from the
// transport header on to the end of what is sent. The ICMP error that has come of such a
// packet is right before and after.
func TestErrorsAboutHalfFinishedPackets(t *testing.T) {
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin), virtual(lvs.TCP, vip6, lvs.RoundRobin),
		virtual(lvs.UDP, vip4, lvs.RoundRobin, tunnelled("192.0.2.11")), virtual(lvs.UDP, vip6, lvs.RoundRobin, tunnelled("2001:db8::11")))
	v4 := syn(1)
	v6 := frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4312", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	var frames []frame
	for _, f := range []frame{v4, v6} {
		for i := range 8 { // of sums of every kind
			f.payload = strings.Repeat("odd", i)
			frames = append(frames, f)
		}
		f.proto, f.payload = "udp", strings.Repeat("x", 1471) // longer than what is quoted
		frames = append(frames, f, edit(f, func(f *frame) { f.options = 4 }))
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for i, f := range frames {
					b.subtest(t, fmt.Sprint(i, " ", f.proto, " ", f.from), func(t *testing.T) {
						in := f.bytes()
						l4, check := f.transportAt()
						half(in, l4, check)
						got, out, err := p.run(b, in)
						if err != nil || got != refused {
							t.Fatalf("%s, %v", got, err)
						}
						head := len(f.tooBig(0, []byte{0, 0})) - len(f.quotedBytes()) // Ethernet, IP, ICMP
						wantChecksum(t, "as it is sent", out)
						finish(out, head+l4-14, head+check-14)
						wantChecksum(t, "once Linux has finished it", out)
					})
				}
			})
		})
	}
}

// transportAt is where the frame's transport header and its checksum are, in bytes.
func (f frame) transportAt() (l4, check int) {
	l4 = 14 + 20 + f.options
	if netip.MustParseAddrPort(f.from).Addr().Is6() {
		l4 = 14 + 40 + 8*f.options
	}
	if f.proto == "udp" {
		return l4, l4 + 6
	}
	return l4, l4 + 16
}

// quotedBytes is what an error quotes of the frame.
func (f frame) quotedBytes() []byte {
	b, most := f.bytes()[14:], 576-28
	if netip.MustParseAddrPort(f.from).Addr().Is6() {
		most = 1280 - 48
	}
	return b[:min(len(b), most)]
}

// half replaces the complete checksum of a frame by the sum of its pseudo header: the
// checksum's complement less everything else.
func half(b []byte, l4, check int) {
	whole := uint32(^binary.BigEndian.Uint16(b[check:]))
	binary.BigEndian.PutUint16(b[check:], 0)
	rest := uint32(^sum(b[l4:]))
	folded := whole + rest
	folded = folded&0xffff + folded>>16
	binary.BigEndian.PutUint16(b[check:], uint16(folded))
}

// finish does what skb_checksum_help does (net/core/dev.c).
func finish(b []byte, l4, check int) {
	binary.BigEndian.PutUint16(b[check:], ^sum(b[l4:]))
	if binary.BigEndian.Uint16(b[check:]) == 0 {
		binary.BigEndian.PutUint16(b[check:], 0xffff)
	}
}

// wantChecksum compares the checksum of an ICMP error without options and tags.
func wantChecksum(t *testing.T, when string, b []byte) {
	t.Helper()
	message := b[14+20:]
	if b[12] == 0x86 {
		length := len(b) - 14 - 40
		pseudo := append(append([]byte{}, b[14+8:14+40]...), 0, 0, byte(length>>8), byte(length), 0, 0, 0, 58)
		message = append(pseudo, b[14+40:]...)
	}
	if got := sum(message); got != 0xffff {
		t.Errorf("%s: the sum of the ICMP message is %#04x, want 0xffff", when, got)
	}
}
