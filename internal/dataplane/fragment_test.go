package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

// pieces are the fragments of a packet, each with so many bytes of it.
func (f frame) pieces(bytes int) (list []frame) {
	whole := len(f.bytes()) - 14 - 20
	if strings.HasPrefix(f.from, "[") {
		whole -= 20
	}
	for at := 0; at < whole; at += bytes {
		list = append(list, edit(f, func(f *frame) { f.at, f.cut = at, bytes }))
	}
	return list
}

// Too much for one packet.
var eightKB = strings.Repeat("8 KB and odd ", 630) + "."

// datagram is the client's datagram of 8 KB.
func (r related) datagram() frame {
	return frame{dst: ourMAC, src: clientMAC, from: r.port(r.client, 4312), to: r.port(r.vip, 80), proto: "udp", payload: eightKB}
}

// sentOn is the datagram, or a fragment of it, as it leaves for the server.
func (r related) sentOn(f frame, method lvs.ForwardMethod, out []byte) []byte {
	switch method {
	case lvs.Masquerade:
		return f.sentOn(rs1MAC, r.serverPort).bytes()
	case lvs.Tunnel:
		own := map[string]string{"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}[r.family]
		return f.forwarded(rs1MAC).encapsulated(own, r.server, out)
	}
	return f.forwarded(rs1MAC).bytes()
}

// Fragments follow their first one, and answers' fragments theirs.
func TestFragmentsFollowTheirFirst(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
				t.Run(fmt.Sprint(p.name, " ", r.family, " ", method), func(t *testing.T) {
					withPlane(t, planOf(r.plan(method).Services[1]), func(b *bench) {
						all := r.datagram().pieces(1400)
						for i, f := range all {
							b.wantBytes(t, p, fmt.Sprint("fragment ", i), f.bytes(), back, func(out []byte) []byte { return r.sentOn(f, method, out) })
						}
						bytes := uint64(0)
						for _, f := range all {
							bytes += uint64(len(f.bytes()) - 14)
						}
						b.wantServer(t, r.server, Counter{Conns: 1, Packets: uint64(len(all)), Bytes: bytes})
						if method != lvs.Masquerade {
							return
						}
						answer := edit(r.datagram(), func(f *frame) { f.src, f.from, f.to = rs1MAC, r.serverPort, f.from })
						for i, f := range answer.pieces(1400) {
							want := f.forwarded(clientMAC)
							want.from = r.port(r.vip, 80)
							b.wantBytes(t, p, fmt.Sprint("answer's fragment ", i), f.bytes(), back, func([]byte) []byte { return want.bytes() })
						}
					})
				})
			}
		}
	}
}

// A fragment that comes before its first waits for it, also where a program at XDP
// has left it to the one behind: whatever the order, all of them leave.
func TestFragmentsOutOfOrder(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
				t.Run(fmt.Sprint(p.name, " ", r.family, " ", method), func(t *testing.T) {
					withPlane(t, r.plan(method), func(b *bench) {
						cable := b.listen(t)
						reversed := r.datagram().pieces(1400)
						slices.Reverse(reversed)
						middle := r.datagram().pieces(1000)
						middle = append(middle[4:], middle[:4]...)
						for round, all := range [][]frame{reversed, middle} {
							var want, got []string
							for _, f := range all {
								f.id = 1 + round
								out := b.through(t, p, f)
								if out != nil {
									got = append(got, dump(out))
								}
								want = append(want, dump(r.sentOn(f, method, append(make([]byte, 18), 0, 0))))
							}
							for _, out := range cable.sent(t, len(want)-len(got)) {
								got = append(got, dump(out))
							}
							if method == lvs.Tunnel && r.family == "IPv4" {
								want, got = withoutIdent(want), withoutIdent(got)
							}
							slices.Sort(want)
							slices.Sort(got)
							if diff := cmp.Diff(want, got); diff != "" {
								t.Errorf("round %d: (-want +got)\n%s", round, diff)
							}
						}
						b.wantReason(t, "pass_fragment", 0)
					})
				})
			}
		}
	}
}

// withoutIdent leaves out what is any number in outer headers of IPv4, and with it
// their checksums.
func withoutIdent(dumps []string) (list []string) {
	for _, d := range dumps {
		lines := strings.SplitN(d, "\n", 3)
		list = append(list, lines[0]+lines[1][:11]+lines[1][17:29]+lines[1][35:]+"\n"+lines[2])
	}
	return list
}

// through sends a frame by the place, and, where that is XDP and passes it, by the
// program behind. It returns what leaves instead of it.
func (b *bench) through(t *testing.T, p place, f frame) []byte {
	t.Helper()
	got, out, err := p.run(b, f.bytes())
	if err == nil && got == pass && p.name == "xdp" {
		got, out, err = runSKB(b, b.behind(), f.bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	switch got {
	case back:
		return out
	case dropped:
		return nil
	}
	t.Errorf("fragment at %d: %s", f.at, got)
	return nil
}

// A cable hears what leaves the fixtures' device.
type cable int

func (b *bench) listen(t *testing.T) cable { return openCable(t, b.index) }

func openCable(t *testing.T, index int) cable {
	t.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	limit := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	return cable(fd)
}

// sent reads so many frames with the servers' addresses that left.
func (c cable) sent(t *testing.T, n int) (list [][]byte) {
	t.Helper()
	for len(list) < n {
		buffer := make([]byte, 1<<16)
		size, from, err := unix.Recvfrom(int(c), buffer, 0)
		if err != nil {
			t.Errorf("%d of %d frames left, then: %v", len(list), n, err)
			break
		}
		sender, ok := from.(*unix.SockaddrLinklayer)
		if ok && sender.Pkttype == unix.PACKET_OUTGOING && slices.Equal(buffer[:6], mac(rs1MAC)) {
			list = append(list, buffer[:size])
		}
	}
	return list
}

// What is for the local stack it gets whole, and what was refused is refused
// whole.
func TestFragmentsOfOtherPackets(t *testing.T) {
	r := relateds[0]
	plan := r.plan(lvs.DirectRoute)
	none := virtual(lvs.UDP, vip4, lvs.RoundRobin)
	none.Port = 53
	plan.Services = append(plan.Services, none)
	plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	to := func(a string) frame { return edit(r.datagram(), func(f *frame) { f.to = a }) }
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for i, tt := range []struct {
					what         string
					f            frame
					first, later verdict
				}{
					{"to a port without a service", to("192.0.2.100:81"), pass, pass},
					{"to the director itself", to("192.0.2.1:80"), pass, pass},
					{"from another director", r.datagram().by(directorMAC), pass, pass},
					{"to a service without servers", to("192.0.2.100:53"), refused, dropped},
				} {
					tt.f.id = 10 + i
					for n, f := range tt.f.pieces(1400) {
						want := tt.later
						if n == 0 {
							want = tt.first
						}
						if got, _, err := p.run(b, f.bytes()); err != nil || got != want {
							t.Errorf("%s, fragment %d: %s, %v, want %s", tt.what, n, got, err, want)
						}
					}
				}
				// Whoever's first has not come, and who is none of ours, is not held.
				alone := to("192.0.2.1:80").pieces(1400)[1]
				alone.id = 99
				b.wantBytes(t, p, "not ours", alone.bytes(), pass, func([]byte) []byte { return alone.bytes() })
				b.wantReason(t, "note_fragment_held", 0)
			})
		})
	}
}

// Of two packets with one number the second is not taken for the first once its
// time is over.
func TestFragmentsAreForgotten(t *testing.T) {
	r := relateds[0]
	withPlane(t, r.plan(lvs.DirectRoute), func(b *bench) {
		all := r.datagram().pieces(1400)
		b.send(t, places[0], all[0], back)
		b.send(t, places[0], all[1], back)
		older[abi.BpfFragmentKey](t, b.maps.Fragments, func(f *abi.BpfFragment) { f.Stamp -= uint32(31 * time.Second / conn.TickLength) })
		b.send(t, places[0], all[2], pass)
	})
}

// More fragments without a first than there is room for: the newest stay, and
// whoever comes in order is not harmed.
func TestFragmentFlood(t *testing.T) {
	r := relateds[0]
	withPlane(t, r.plan(lvs.DirectRoute), func(b *bench) {
		for id := range 2000 {
			f := r.datagram().pieces(1400)[1]
			f.id, f.from = 1000+id, "198.51.100.66:1"
			b.send(t, places[1], f, dropped)
		}
		b.wantReason(t, "note_fragment_held", 2000)
		for _, f := range r.datagram().pieces(1400) {
			b.send(t, places[1], f, back)
		}
	})
}

// A plane at XDP has the program for fragments behind it, and finds it again.
func TestFragmentsProgramStandsBehindXDP(t *testing.T) {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookGeneric}}}
	withPlane(t, plan, func(b *bench) {
		b.Close()
		again := openBench(t, b.pinDir, b.room())
		*b = *again
		b.set(t, plan)
		b.wantPins(t, "behind_", 1)
		b.set(t, lvs.Plan{})
		b.wantPins(t, "behind_", 0)
	})
}
