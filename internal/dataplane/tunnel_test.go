package dataplane

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/lvs"
)

func tunnelled(server string) lvs.RealServer {
	return lvs.RealServer{Addr: addr(server), Port: 80, Weight: 1, Method: lvs.Tunnel}
}

// Each pair of families: the packet as it is but for its TTL, in an outer header
// with the packet's TTL and type of service, from our address on the way.
func TestTunnel(t *testing.T) {
	v4, v6 := syn(1), frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4312", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	for _, tt := range []struct {
		name     string
		vip      netip.Addr
		server   string
		f        frame
		from, to string // outer
	}{
		{"IPv4 in IPv4", vip4, "192.0.2.11", v4, "192.0.2.1", "192.0.2.11"},
		{"IPv6 in IPv6", vip6, "2001:db8::11", v6, "2001:db8::1", "2001:db8::11"},
		{"IPv4 in IPv6", vip4, "2001:db8::11", v4, "2001:db8::1", "2001:db8::11"},
		{"IPv6 in IPv4", vip6, "192.0.2.11", v6, "192.0.2.1", "192.0.2.11"},
	} {
		for _, p := range places {
			t.Run(tt.name+" "+p.name, func(t *testing.T) {
				plan := planOf(virtual(lvs.TCP, tt.vip, lvs.RoundRobin, tunnelled(tt.server)), virtual(lvs.UDP, tt.vip, lvs.RoundRobin, tunnelled(tt.server)))
				withPlane(t, plan, func(b *bench) {
					for _, f := range []frame{
						tt.f, tt.f.with("A"), tt.f.with("AP"), tt.f.with("FA"),
						edit(tt.f, func(f *frame) { f.flags, f.payload = "S", "early data" }),
						edit(tt.f, func(f *frame) { f.proto, f.payload = "udp", "odd" }),
						edit(tt.f, func(f *frame) { f.ttl = 2 }),
						edit(tt.f, func(f *frame) { f.options = 4 }),
					} {
						out := b.send(t, p, f, back)
						want := f.forwarded(rs1MAC).encapsulated(tt.from, tt.to, out)
						if diff := cmp.Diff(dump(want), dump(out)); diff != "" {
							t.Errorf("%+v: (-want +got)\n%s", f, diff)
						}
					}
					b.send(t, p, edit(tt.f, func(f *frame) { f.ttl = 1 }), dropped)
				})
			})
		}
	}
}

// What does not fit into the tunnel is not sent, and the client is told how big
// it may be.
func TestTunnelIsTooNarrow(t *testing.T) {
	long := func(f frame, total int) frame {
		f.proto, f.payload = "udp", strings.Repeat("x", total-len(f.bytes())-8+20+14)
		return f
	}
	v4, v6 := syn(1), frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4312", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	for _, tt := range []struct {
		name   string
		vip    netip.Addr
		server string
		f      frame
		mtu    int
	}{
		{"IPv4 in IPv4", vip4, "192.0.2.11", v4, 1480},
		{"IPv4 in IPv6", vip4, "2001:db8::11", v4, 1460},
		{"IPv6 in IPv6", vip6, "2001:db8::11", v6, 1460},
		{"IPv6 in IPv4", vip6, "192.0.2.11", v6, 1480},
	} {
		for _, p := range places {
			t.Run(tt.name+" "+p.name, func(t *testing.T) {
				withPlane(t, planOf(virtual(lvs.UDP, tt.vip, lvs.RoundRobin, tunnelled(tt.server))), func(b *bench) {
					b.send(t, p, long(tt.f, tt.mtu), back)
					f := long(tt.f, tt.mtu+1)
					out := b.send(t, p, f, refused)
					if diff := cmp.Diff(dump(f.tooBig(tt.mtu, out[18:20])), dump(out)); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
					b.wantReason(t, "drop_too_big", 1)
					if tt.vip == vip4 { // one that may be cut: nobody is told
						b.send(t, p, edit(f, func(f *frame) { f.mayCut = true }), dropped)
						b.wantReason(t, "drop_too_big", 2)
					}
				})
			})
		}
	}
}

// encapsulated is the frame in an outer header, as the RFCs have it. Without
// "don't fragment" its identification is any number: what was sent has it.
func (f frame) encapsulated(from, to string, sent []byte) []byte {
	return encapsulated(f.bytes(), from, to, sent)
}

func encapsulated(b []byte, from, to string, sent []byte) []byte {
	eth := 12
	for b[eth] == 0x81 || b[eth] == 0x88 { // tags
		eth += 4
	}
	inner, a := b[eth+2:], addr(from)
	ttl, tos, protocol, df := inner[8], inner[1], byte(4), inner[6]&0x40
	if inner[0]>>4 == 6 {
		ttl, tos, protocol, df = inner[7], inner[0]<<4|inner[1]>>4, 41, 0
	}
	if a.Is4() {
		h := make([]byte, 20)
		h[0], h[1], h[6], h[8], h[9] = 0x45, tos, df, ttl, protocol
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(inner)))
		if df == 0 {
			copy(h[4:], sent[eth+6:eth+8])
		}
		copy(h[12:], a.AsSlice())
		copy(h[16:], addr(to).AsSlice())
		binary.BigEndian.PutUint16(h[10:], ^sum(h))
		return append(append(append(b[:eth:eth], 0x08, 0x00), h...), inner...)
	}
	h := make([]byte, 8, 40)
	h[0], h[1], h[6], h[7] = 0x60|tos>>4, tos<<4, protocol, ttl
	binary.BigEndian.PutUint16(h[4:], uint16(len(inner)))
	h = append(append(h, a.AsSlice()...), addr(to).AsSlice()...)
	return append(append(append(b[:eth:eth], 0x86, 0xdd), h...), inner...)
}
