package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/icmp"
	"weir/lvs"
)

// pair is a service and a tunnel, each of a family.
type pair struct {
	name, vip, client, own, server string
	outer                          int // bytes of the outer header
}

var pairs = []pair{
	{"IPv4 in IPv4", "192.0.2.100", "198.51.100.9", "192.0.2.1", "192.0.2.11", 20},
	{"IPv6 in IPv6", "2001:db8::100", "2001:db8:9::9", "2001:db8::1", "2001:db8::11", 40},
	{"IPv4 in IPv6", "192.0.2.100", "198.51.100.9", "2001:db8::1", "2001:db8::11", 40},
	{"IPv6 in IPv4", "2001:db8::100", "2001:db8:9::9", "192.0.2.1", "192.0.2.11", 20},
}

func (p pair) plan() lvs.Plan {
	return planOf(virtual(lvs.TCP, addr(p.vip), lvs.RoundRobin, tunnelled(p.server)), virtual(lvs.UDP, addr(p.vip), lvs.RoundRobin, tunnelled(p.server)))
}

func (p pair) frame() frame {
	at := func(a string, port uint16) string { return netip.AddrPortFrom(addr(a), port).String() }
	return frame{dst: ourMAC, src: clientMAC, from: at(p.client, 4312), to: at(p.vip, 80), proto: "udp", payload: "a question"}
}

// sent is the packet in the tunnel, from its outer header on.
func (p pair) sent(t *testing.T, b *bench, f frame) []byte {
	t.Helper()
	return b.send(t, places[0], f, back)[14:]
}

// routerSays is an error about a packet, from its ICMP header on.
func (p pair) routerSays(head, about []byte) []byte {
	message := append(append([]byte{}, head...), about...)
	if addr(p.own).Is4() {
		binary.BigEndian.PutUint16(message[2:], ^sum(message))
	}
	return message
}

// hears has the plane hear of an error, and returns what the client gets.
func (p pair) hears(b *bench, message []byte) (answer []byte, client netip.Addr) {
	e, ok := icmp.ParseOuterError(message, addr(p.own).Is6())
	if !ok {
		return nil, client
	}
	return b.outerFailed(e)
}

func (p pair) wants(t *testing.T, b *bench, what string, message, want []byte) {
	t.Helper()
	got, client := p.hears(b, message)
	if diff := cmp.Diff(dump(want), dump(got)); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
	if want != nil && client != addr(p.client) {
		t.Errorf("%s: it goes to %v", what, client)
	}
}

// Whatever a router on the way to the server says of the outer header, the client
// hears of the packet that he sent.
func TestErrorsAboutTheTunnel(t *testing.T) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, p.plan(), func(b *bench) {
				f := p.frame()
				out := p.sent(t, b, f)
				heads := errors4[1:] // but for too big
				if p.outer == 40 {
					heads = errors6[1:]
				}
				seen := f.forwarded(rs1MAC)
				for _, head := range heads {
					inner := []byte{3, 1, 0, 0, 0, 0, 0, 0}
					if p.name == "IPv4 in IPv4" {
						inner = append([]byte{}, head...)
					}
					want := seen.icmp([]byte{0, 0}, inner, []byte{1, 3, 0, 0, 0, 0, 0, 0})[14:]
					p.wants(t, b, fmt.Sprint(head[:2]), p.routerSays(head, out), want)
				}
			})
		})
	}
}

// A link on the way to the server that is narrower than the first: the client learns
// what fits into the tunnel, the next one does so from weir itself, and after ten
// minutes the way is tried again.
func TestNarrowWayOfATunnel(t *testing.T) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, p.plan(), func(b *bench) {
				f := sized(p.frame(), 1440)
				out := p.sent(t, b, f)
				big := []byte{3, 4, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff}
				if p.outer == 40 {
					big = []byte{2, 0, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff}
				}
				fits := 1400 - p.outer
				want := f.forwarded(rs1MAC).tooBig(fits, []byte{0, 0})[14:]
				p.wants(t, b, "too big", p.routerSays(big, out), want)

				other := edit(sized(p.frame(), fits+1), func(f *frame) { f.from = strings.Replace(f.from, "4312", "4313", 1) })
				got := b.send(t, places[0], other, refused)
				if diff := cmp.Diff(dump(other.tooBig(fits, got[18:20])), dump(got)); diff != "" {
					t.Errorf("the next client: (-want +got)\n%s", diff)
				}
				b.send(t, places[0], sized(other, fits), back)

				wider := append([]byte{}, big...)
				binary.BigEndian.PutUint16(wider[6:], 1450)
				p.wants(t, b, "a wider link", p.routerSays(wider, out), want)

				b.paths.Expire(addr(p.server))
				b.resolve()
				b.send(t, places[0], other, back)

				none := append([]byte{}, big...) // as routers before RFC 1191 said it
				none[6], none[7] = 0, 0
				least := map[int]int{20: 552, 40: 1280}[p.outer] - p.outer
				p.wants(t, b, "no MTU", p.routerSays(none, out), f.forwarded(rs1MAC).tooBig(least, []byte{0, 0})[14:])
			})
		})
	}
}

// One that may be cut is not the client's affair, but the way is known to be narrow.
func TestNarrowWayForWhatMayBeCut(t *testing.T) {
	p := pairs[0]
	withPlane(t, p.plan(), func(b *bench) {
		f := edit(sized(p.frame(), 1440), func(f *frame) { f.mayCut = true })
		p.wants(t, b, "too big", p.routerSays([]byte{3, 4, 0, 0, 0, 0, 5, 0x78}, p.sent(t, b, f)[:500]), nil)
		b.send(t, places[0], f, dropped)
		b.wantReason(t, "drop_too_big", 1)
	})
}

// What is about no tunnel of ours, or of no connection, is nobody's.
func TestOtherErrorsAboutTunnels(t *testing.T) {
	for _, p := range pairs[:2] {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, p.plan(), func(b *bench) {
				out := p.sent(t, b, p.frame())
				head, inner := errors4[1], 20
				if p.outer == 40 {
					head, inner = errors6[1], 40
				}
				change := func(at int, bits byte) []byte {
					about := append([]byte{}, out...)
					about[at] ^= bits
					return p.routerSays(head, about)
				}
				shorten := func(at int) []byte { // the inner packet says that it is shorter than its ports
					about := append([]byte{}, out...)
					about[p.outer+at], about[p.outer+at+1] = 0, 3
					return p.routerSays(head, about)
				}
				addrs := map[int]int{20: 12, 40: 8}[p.outer] // where they begin
				length := (p.outer - addrs) / 2
				for what, message := range map[string][]byte{
					"of another's tunnel":       change(addrs+length-1, 0x40),
					"to another server":         change(addrs+2*length-1, 0x40),
					"of another client":         change(p.outer+addrs+length-1, 0x40),
					"of another port":           change(p.outer+inner+1, 1),
					"of another protocol":       change(p.outer+map[int]int{20: 9, 40: 6}[inner], 17^6),
					"of no tunnel":              change(map[int]int{20: 9, 40: 6}[p.outer], 0x80),
					"of a packet too short":     shorten(map[int]int{20: 2, 40: 4}[inner]),
					"a redirect":                p.routerSays(map[int][]byte{20: {5, 1, 0, 0, 0, 0, 0, 0}, 40: {137, 0, 0, 0, 0, 0, 0, 0}}[p.outer], out),
					"cut before the ports":      p.routerSays(head, out[:p.outer+inner+3]),
					"cut in the inner header":   p.routerSays(head, out[:p.outer+inner-1]),
					"cut before the inner one":  p.routerSays(head, out[:p.outer]),
					"cut in the outer header":   p.routerSays(head, out[:p.outer-1]),
					"cut in the error's header": p.routerSays(head, nil)[:7],
				} {
					p.wants(t, b, what, message, nil)
				}
				if p.outer == 20 {
					p.wants(t, b, "about a later fragment", change(7, 1), nil)
					wrong := p.routerSays(head, out)
					wrong[2] ^= 1
					p.wants(t, b, "with a wrong checksum", wrong, nil)
				}
				if got, _ := p.hears(b, p.routerSays(head, out)); got == nil {
					t.Error("and the right one is nobody's, too")
				}
			})
		})
	}
}
