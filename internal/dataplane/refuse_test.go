package dataplane

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/lvs"
)

// Where no server is to be had the client gets the kernel's port unreachable,
// as from the VIP, with as much of its packet as the kernel quotes.
func TestClientIsToldThatThereIsNoServer(t *testing.T) {
	quiesced := real("192.0.2.11", 0)
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, quiesced), virtual(lvs.UDP, vip4, lvs.WeightedLeastConnection),
		virtual(lvs.TCP, vip6, lvs.SourceHash), virtual(lvs.UDP, vip6, lvs.RoundRobin))
	v6 := frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4312", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	datagram := func(f frame, n int) frame { f.proto, f.payload = "udp", strings.Repeat("odd", n)[:n]; return f }
	options := syn(1)
	options.options = 8
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for name, f := range map[string]frame{
					"IPv4 TCP":                syn(1),
					"IPv4 TCP with options":   options,
					"IPv4 UDP, empty":         datagram(syn(1), 0),
					"IPv4 UDP, all is quoted": datagram(syn(1), 520),
					"IPv4 UDP, too long":      datagram(syn(1), 1472),
					"IPv6 TCP":                v6,
					"IPv6 UDP":                datagram(v6, 77),
					"IPv6 UDP, too long":      datagram(v6, 1400),
				} {
					out := b.send(t, p, f, refused)
					ident := out[18:20] // of IPv4: any number
					if diff := cmp.Diff(dump(f.unreachable(ident)), dump(out)); diff != "" {
						t.Errorf("%s: (-want +got)\n%s", name, diff)
					}
				}
				b.wantReason(t, "drop_no_server", 8)
				b.wantReason(t, "note_icmp_sent", 8)
			})
		})
	}
}

// Errors are as many as the kernel sends, and not more.
func TestRefusalsAreLimited(t *testing.T) {
	withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin)), func(b *bench) {
		sent := 0
		for i := range 1000 {
			got, _, err := places[0].run(b, syn(i+1).bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got == refused {
				sent++
			} else if got != dropped {
				t.Fatalf("packet %d: %s", i, got)
			}
		}
		if sent < 50 || sent > 999 {
			t.Errorf("%d of 1,000 packets at once were answered, want 50 and some more", sent)
		}
		b.wantReason(t, "drop_no_server", 1000)
	})
}

// unreachable is the port unreachable about a frame.
func (f frame) unreachable(ident []byte) []byte {
	return f.icmp(ident, []byte{3, 3, 0, 0, 0, 0, 0, 0}, []byte{1, 4, 0, 0, 0, 0, 0, 0})
}

// tooBig says how big it may be (RFC 1191, RFC 4443).
func (f frame) tooBig(mtu int, ident []byte) []byte {
	hi, lo := byte(mtu>>8), byte(mtu)
	return f.icmp(ident, []byte{3, 4, 0, 0, 0, 0, hi, lo}, []byte{2, 0, 0, 0, 0, 0, hi, lo})
}

// icmp is the error about a frame, as RFC 792 and RFC 4443 have it, with the
// header for its family.
func (f frame) icmp(ident, head4, head6 []byte) []byte {
	from, to := netip.MustParseAddrPort(f.from).Addr(), netip.MustParseAddrPort(f.to).Addr()
	tags := tagBytes(f.tags)
	quoted := f.bytes()[14+len(tags):]
	eth := append(append(mac(f.src), mac(f.dst)...), tags...)
	if from.Is4() {
		body := append(head4, quoted[:min(len(quoted), 576-28)]...)
		binary.BigEndian.PutUint16(body[2:], ^sum(body))
		ip := make([]byte, 20)
		ip[0], ip[1], ip[8], ip[9] = 0x45, 0xc0, 64, 1
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(body)))
		copy(ip[4:], ident)
		copy(ip[12:], to.AsSlice())
		copy(ip[16:], from.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
		return append(append(append(eth, 0x08, 0x00), ip...), body...)
	}
	body := append(head6, quoted[:min(len(quoted), 1280-48)]...)
	pseudo := append(append(to.AsSlice(), from.AsSlice()...), 0, 0, byte(len(body)>>8), byte(len(body)), 0, 0, 0, 58)
	binary.BigEndian.PutUint16(body[2:], ^sum(append(pseudo, body...)))
	ip := make([]byte, 8, 40)
	ip[0], ip[6], ip[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
	ip = append(append(ip, to.AsSlice()...), from.AsSlice()...)
	return append(append(append(eth, 0x86, 0xdd), ip...), body...)
}
