package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/lvs"
)

// icmpError is an error that somebody sends about a packet. Its checksums are the
// fixtures' own arithmetic.
type icmpError struct {
	dst, src string // Ethernet
	tags     string
	from, to string // addresses
	head     []byte // of ICMP, 8 bytes
	about    frame
	quoted   int // bytes of its transport header and what follows; 0: all
	ttl      byte
	options  int // bytes of IPv4 options, or 8-byte blocks of extension headers
}

func (e icmpError) bytes() []byte {
	f := frame{dst: e.dst, src: e.src, tags: e.tags, options: e.options}
	from, to := addr(e.from), addr(e.to)
	quoted := e.about.bytes()[14:]
	ip := 40 + 8*e.about.options
	if from.Is4() {
		ip = 20 + e.about.options
	}
	if e.quoted > 0 {
		quoted = quoted[:ip+e.quoted]
	}
	body := append(append([]byte{}, e.head...), quoted...)
	b := append(append(mac(e.dst), mac(e.src)...), tagBytes(e.tags)...)
	if from.Is4() {
		binary.BigEndian.PutUint16(body[2:], ^sum(body))
		return append(append(b, 0x08, 0x00), f.ip4(from, to, e.ttl, 1, body)...)
	}
	pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, 0, byte(len(body)>>8), byte(len(body)), 0, 0, 0, 58)
	binary.BigEndian.PutUint16(body[2:], ^sum(append(pseudo, body...)))
	return append(append(b, 0x86, 0xdd), f.ip6(from, to, e.ttl, 58, body)...)
}

// sentOn is the error as the director sends it on.
func (e icmpError) sentOn(mac string) icmpError {
	e.dst, e.src, e.ttl = mac, ourMAC, e.ttl-1
	return e
}

// The errors that the kernel looks into, with their headers: fragmentation needed,
// port unreachable, time exceeded, source quench; packet too big, no route, time
// exceeded, parameter problem.
var (
	errors4 = [][]byte{{3, 4, 0, 0, 0, 0, 5, 0x14}, {3, 3, 0, 0, 0, 0, 0, 0}, {11, 0, 0, 0, 0, 0, 0, 0}, {4, 0, 0, 0, 0, 0, 0, 0}}
	errors6 = [][]byte{{2, 0, 0, 0, 0, 0, 5, 0x14}, {1, 0, 0, 0, 0, 0, 0, 0}, {3, 0, 0, 0, 0, 0, 0, 0}, {4, 0, 0, 0, 0, 0, 0, 6}}
)

// A related is a service with a connection that errors are about.
type related struct {
	family, vip, client, router string
	errors                      [][]byte
	server, serverPort          string
}

var relateds = []related{
	{"IPv4", "192.0.2.100", "198.51.100.9", "203.0.113.1", errors4, "192.0.2.11", "192.0.2.11:8080"},
	{"IPv6", "2001:db8::100", "2001:db8:9::9", "2001:db8:5::1", errors6, "2001:db8::11", "[2001:db8::11]:8080"},
}

func (r related) port(a string, port int) string {
	return netip.AddrPortFrom(addr(a), uint16(port)).String()
}

// open begins the connection that the errors are about.
func (r related) open(t *testing.T, b *bench, p place, proto string) frame {
	t.Helper()
	f := frame{dst: ourMAC, src: clientMAC, from: r.port(r.client, 4312), to: r.port(r.vip, 80), proto: proto, flags: "S"}
	b.send(t, p, f, back)
	return f
}

// wantBytes sends a packet and compares what leaves.
func (b *bench) wantBytes(t testing.TB, p place, what string, in []byte, verdict verdict, want func(out []byte) []byte) {
	t.Helper()
	got, out, err := p.run(b, in)
	if err != nil {
		t.Fatal(err)
	}
	if got == refused {
		got = back
	}
	if got != verdict {
		t.Errorf("%s: %q, want %q", what, got, verdict)
		return
	}
	if diff := cmp.Diff(dump(want(out)), dump(out)); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

func (r related) plan(method lvs.ForwardMethod) lvs.Plan {
	rs := lvs.RealServer{Addr: addr(r.server), Port: 80, Weight: 1, Method: method}
	if method == lvs.Masquerade {
		rs.Port = 8080
	}
	return planOf(virtual(lvs.TCP, addr(r.vip), lvs.RoundRobin, rs), virtual(lvs.UDP, addr(r.vip), lvs.RoundRobin, rs))
}

// An error from the client's side about what the server sent goes to that server,
// by its method; behind NAT it is about what the server itself sent.
func TestErrorsReachTheServer(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
				t.Run(fmt.Sprint(p.name, " ", r.family, " ", method), func(t *testing.T) {
					withPlane(t, r.plan(method), func(b *bench) {
						sent := uint64(0)
						for _, proto := range []string{"tcp", "udp"} {
							r.open(t, b, p, proto)
							answer := frame{dst: clientMAC, src: rs1MAC, from: r.port(r.vip, 80), to: r.port(r.client, 4312),
								proto: proto, flags: "A", payload: strings.Repeat("odd", 71)}
							own := answer
							own.from = r.serverPort
							for _, head := range r.errors {
								for _, quoted := range []int{8, 16, 18, 20, 0} {
									for _, options := range []int{0, 4} {
										in := icmpError{dst: ourMAC, src: clientMAC, from: r.router, to: r.vip, head: head, about: answer, quoted: quoted, ttl: 60, options: options}
										want := in.sentOn(rs1MAC)
										if method == lvs.Masquerade {
											want.to, want.about = r.server, own
										}
										what := fmt.Sprint(proto, " ", head[:2], ", ", quoted, " bytes quoted, options ", options)
										b.wantBytes(t, p, what, in.bytes(), back, func(out []byte) []byte {
											if method == lvs.Tunnel {
												return encapsulated(want.bytes(), map[string]string{"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}[r.family], r.server, out)
											}
											return want.bytes()
										})
										sent++
									}
								}
							}
						}
						b.wantReason(t, "note_icmp_forwarded", sent)
					})
				})
			}
		}
	}
}

// An error about what the client sent to a server behind NAT, from the server or
// from a router before it, goes to the client as from the VIP, and about what the
// client sent.
func TestErrorsReachTheClient(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			t.Run(fmt.Sprint(p.name, " ", r.family), func(t *testing.T) {
				withPlane(t, r.plan(lvs.Masquerade), func(b *bench) {
					for _, proto := range []string{"tcp", "udp"} {
						asked := edit(r.open(t, b, p, proto), func(f *frame) { f.payload = "a question" })
						asked.flags = "A"
						seen := asked
						seen.to = r.serverPort
						for _, head := range r.errors {
							for _, from := range []string{r.server, r.router} {
								for _, quoted := range []int{8, 16, 18, 20, 0} {
									in := icmpError{dst: ourMAC, src: rs1MAC, from: from, to: r.client, head: head, about: seen, quoted: quoted, ttl: 60}
									want := in.sentOn(clientMAC)
									want.from, want.about = r.vip, asked
									what := fmt.Sprint(proto, " ", head[:2], " from ", from, ", ", quoted, " bytes quoted")
									if proto == "udp" && quoted > 8+len(asked.payload) {
										continue
									}
									b.wantBytes(t, p, what, in.bytes(), back, func([]byte) []byte { return want.bytes() })
								}
							}
						}
					}
				})
			})
		}
	}
}

// What is about no connection, or is no error, is the local stack's, untouched: an
// echo request to the VIP among it.
func TestOtherICMPIsLeftAlone(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			t.Run(fmt.Sprint(p.name, " ", r.family), func(t *testing.T) {
				withPlane(t, r.plan(lvs.Masquerade), func(b *bench) {
					r.open(t, b, p, "tcp")
					echo, redirect := []byte{8, 0, 0, 0, 1, 2, 0, 1}, []byte{5, 1, 0, 0, 192, 0, 2, 1}
					if r.family == "IPv6" {
						echo, redirect = []byte{128, 0, 0, 0, 1, 2, 0, 1}, []byte{137, 0, 0, 0, 0, 0, 0, 0}
					}
					answer := frame{dst: clientMAC, src: rs1MAC, from: r.port(r.vip, 80), to: r.port(r.client, 4312), proto: "tcp", flags: "A"}
					good := icmpError{dst: ourMAC, src: clientMAC, from: r.router, to: r.vip, head: r.errors[0], about: answer, ttl: 60}
					for what, change := range map[string]func(*icmpError){
						"an echo request to the VIP":       func(e *icmpError) { e.head = echo },
						"a redirect":                       func(e *icmpError) { e.head = redirect },
						"about another port of the client": func(e *icmpError) { e.about.to = r.port(r.client, 4313) },
						"about another protocol":           func(e *icmpError) { e.about.proto = "udp" },
						"about the wrong direction":        func(e *icmpError) { e.about.from, e.about.to = e.about.to, e.about.from },
						"for another than the sender":      func(e *icmpError) { e.to = r.router },
						"cut before the ports":             func(e *icmpError) { e.quoted = 4 },
						"about a fragment without ports":   func(e *icmpError) { e.about.at = 16 },
						"in a frame of another machine":    func(e *icmpError) { e.dst = rs2MAC },
					} {
						e := good
						change(&e)
						if p.name == "tc" && e.dst != ourMAC { // there the kernel tells whose frame it is
							continue
						}
						b.wantBytes(t, p, what, e.bytes(), pass, func([]byte) []byte { return e.bytes() })
					}
					b.wantReason(t, "note_icmp_forwarded", 0)
					dying := good
					dying.ttl = 1
					b.wantBytes(t, p, "its last hop", dying.bytes(), dropped, func([]byte) []byte { return dying.bytes() })
				})
			})
		}
	}
}

// An error neither changes a connection's state nor keeps it alive.
func TestErrorsKeepNothingAlive(t *testing.T) {
	r := relateds[0]
	withPlane(t, planOf(r.plan(lvs.DirectRoute).Services[0]), func(b *bench) {
		f := r.open(t, b, places[0], "tcp")
		b.age(t, f, 5*time.Second)
		before := b.conn(t, f)
		answer := frame{dst: clientMAC, src: rs1MAC, from: f.to, to: f.from, proto: "tcp", flags: "R"}
		in := icmpError{dst: ourMAC, src: clientMAC, from: r.router, to: r.vip, head: errors4[0], about: answer, ttl: 60}
		for _, p := range places {
			b.wantBytes(t, p, p.name, in.bytes(), back, func([]byte) []byte { return in.sentOn(rs1MAC).bytes() })
		}
		if after := b.conn(t, f); after.Word != before.Word || after.Stamp != before.Stamp {
			t.Errorf("the connection was %+v, is %+v", before, after)
		}
		b.wantServer(t, r.server, Counter{Conns: 1, Packets: 3, Bytes: 40 + 2*(20+8+40)})
	})
}
