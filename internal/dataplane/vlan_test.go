package dataplane

import (
	"encoding/binary"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// Whatever is in a frame with VLAN tags, what leaves by the device that it came by
// has them, too: by every method, cut or whole, and errors about it.
func TestTaggedFrames(t *testing.T) {
	xdp := places[0] // at tc the kernel has taken the tag out of the frame
	for _, r := range relateds {
		for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
			plan := r.plan(method)
			none := virtual(lvs.TCP, addr(r.vip), lvs.RoundRobin)
			none.Port = 443
			plan.Services = append(plan.Services, none)
			t.Run(fmt.Sprint(r.family, " ", method), func(t *testing.T) {
				withPlane(t, plan, func(b *bench) {
					for n, tags := range []string{"8100:100", "8100:4095", "88a8:7 8100:100", "8100:1 8100:2"} {
						ask := frame{dst: ourMAC, src: clientMAC, tags: tags, from: r.port(r.client, 4000+n), to: r.port(r.vip, 80), proto: "tcp", flags: "S", payload: "odd"}
						for _, f := range append([]frame{ask, ask.with("A"), edit(ask, func(f *frame) { f.flags, f.options = "A", 4 })},
							edit(r.datagram(), func(f *frame) { f.tags, f.id, f.from = tags, n, ask.from }).pieces(1400)...) {
							b.wantBytes(t, xdp, fmt.Sprint(tags, " ", f.proto, " ", f.flags, " ", f.at), f.bytes(), back,
								func(out []byte) []byte { return r.sentOn(f, method, out) })
						}
						refused := edit(ask, func(f *frame) { f.to = r.port(r.vip, 443) })
						b.wantBytes(t, xdp, tags+", no server", refused.bytes(), back,
							func(out []byte) []byte { return refused.unreachable(out[18+len(tagBytes(tags)):][:2]) })
						if method == lvs.Tunnel {
							long := edit(ask, func(f *frame) { f.proto, f.payload = "udp", strings.Repeat("x", 1460) })
							mtu := map[string]int{"IPv4": 1480, "IPv6": 1460}[r.family]
							b.wantBytes(t, xdp, tags+", too big", long.bytes(), back,
								func(out []byte) []byte { return long.tooBig(mtu, out[18+len(tagBytes(tags)):][:2]) })
						}
						if method != lvs.Masquerade {
							continue
						}
						answer := frame{dst: ourMAC, src: rs1MAC, tags: tags, from: r.serverPort, to: ask.from, proto: "tcp", flags: "A"}
						want := answer.forwarded(clientMAC)
						want.from = ask.to
						b.wantBytes(t, xdp, tags+", answer", answer.bytes(), back, func([]byte) []byte { return want.bytes() })
						about := icmpError{dst: ourMAC, src: clientMAC, tags: tags, from: r.router, to: r.vip, head: r.errors[0], about: edit(want, func(f *frame) { f.tags = "" }), ttl: 60}
						sent := about.sentOn(rs1MAC)
						sent.to, sent.about.from = r.server, r.serverPort
						b.wantBytes(t, xdp, tags+", ICMP error", about.bytes(), back, func([]byte) []byte { return sent.bytes() })
					}
				})
			})
		}
	}
}

// Other tagged frames, and what has more tags than two, pass untouched.
func TestOtherTaggedFramesAreLeftAlone(t *testing.T) {
	withPlane(t, relateds[0].plan(lvs.DirectRoute), func(b *bench) {
		f := syn(1)
		for what, f := range map[string]frame{
			"three tags":              edit(f, func(f *frame) { f.tags = "8100:1 8100:2 8100:3" }),
			"another port":            edit(f, func(f *frame) { f.tags, f.to = "8100:1", "192.0.2.100:81" }),
			"another machine":         edit(f, func(f *frame) { f.tags, f.dst = "8100:1", rs2MAC }),
			"no connection":           edit(f, func(f *frame) { f.tags, f.flags = "8100:1", "A" }),
			"no type that is a tag's": edit(f, func(f *frame) { f.tags = "9100:1" }),
		} {
			b.wantBytes(t, places[0], what, f.bytes(), pass, func([]byte) []byte { return f.bytes() })
		}
	})
}

// elsewhere gives the fixtures' machine another device, with a server on it.
func (b *bench) elsewhere(t *testing.T) (far *nstest.Namespace, device *net.Interface) {
	t.Helper()
	far = nstest.New(t, nsName(t)+"y")
	nstest.Veth(b.ns, "eth1", far, "eth1")
	b.ns.Batch("addr add 203.0.113.1/24 dev eth1", "neigh add 203.0.113.11 lladdr "+rs1MAC+" dev eth1 nud permanent")
	device, err := net.InterfaceByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	return far, device
}

// What leaves by another device leaves without the tags: they are that device's affair.
func TestTagsStayOnTheirDevice(t *testing.T) {
	for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
		t.Run(fmt.Sprint(method), func(t *testing.T) {
			withPlane(t, planOf(), func(b *bench) {
				_, device := b.elsewhere(t)
				rs := lvs.RealServer{Addr: addr("203.0.113.11"), Port: 80, Weight: 1, Method: method}
				b.set(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, rs)))
				for n, tags := range []string{"8100:100", "88a8:7 8100:100"} {
					f := edit(syn(n+1), func(f *frame) { f.tags = tags })
					want := f.forwarded(rs1MAC)
					want.src, want.tags = device.HardwareAddr.String(), ""
					b.wantBytes(t, places[0], tags, f.bytes(), other, func(out []byte) []byte {
						switch method {
						case lvs.Masquerade:
							want.to = "203.0.113.11:80"
						case lvs.Tunnel:
							return want.encapsulated("203.0.113.1", "203.0.113.11", out)
						}
						return want.bytes()
					})
				}
			})
		})
	}
}

// At tc the kernel has taken the tag out of the frame: it goes out again by the
// device that it came by, and by another it does not. A second tag is in the frame. So it is
// with frames that are sent, and with those that come in at a device's far end at once.
func TestTaggedFramesAtTC(t *testing.T) {
	for _, sent := range []bool{true, false} {
		t.Run(map[bool]string{true: "sent", false: "to the far end"}[sent], func(t *testing.T) {
			withPlane(t, planOf(), func(b *bench) {
				far, device := b.elsewhere(t)
				other := nstest.New(t, nsName(t)+"z")
				nstest.Veth(b.ns, "eth2", other, "eth2")
				b.ns.Batch("addr add 198.51.100.1/24 dev eth2", "neigh add 198.51.100.11 lladdr "+rs1MAC+" dev eth2 nud permanent")
				if sent {
					b.queue(t, "eth1", "eth2")
				}
				second, err := net.InterfaceByName("eth2")
				if err != nil {
					t.Fatal(err)
				}
				mac2 := second.HardwareAddr.String()
				here := lvs.RealServer{Addr: addr("203.0.113.11"), Port: 80, Weight: 1, Method: lvs.DirectRoute}
				there := real("198.51.100.11", 1)
				plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, here), virtual(lvs.UDP, vip4, lvs.RoundRobin, there))
				plan.Devices = []lvs.Device{{Name: "eth1", Hook: lvs.HookTC}}
				b.set(t, plan)
				by1, by2 := hear(t, far, "eth1"), hear(t, other, "eth2")
				for n, tags := range []string{"8100:100", "88a8:7 8100:100"} {
					f := edit(syn(n+1), func(f *frame) { f.dst, f.tags = device.HardwareAddr.String(), tags })
					far.Do(func() { put(t, "eth1", f.bytes()) })
					want := f.forwarded(rs1MAC)
					want.src = f.dst
					by1.wants(t, "by the same device", want)

					f.proto, f.payload = "udp", "odd"
					far.Do(func() { put(t, "eth1", f.bytes()) })
					want = f.forwarded(rs1MAC)
					want.src, want.tags = mac2, ""
					by2.wants(t, "by another device", want)
				}
			})
		})
	}
}

// queue gives devices a queue, so that nothing is given to their far ends at once.
func (b *bench) queue(t *testing.T, devices ...string) {
	t.Helper()
	for _, device := range devices {
		if out, err := exec.Command("tc", "qdisc", "add", "dev", device, "root", "pfifo").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// hear is a cable at a device of a namespace, the far end of one of the director's; it tells of
// tags, too, that are not in the frame.
func hear(t *testing.T, far *nstest.Namespace, device string) (c cable) {
	t.Helper()
	far.Do(func() {
		at, err := net.InterfaceByName(device)
		if err != nil {
			t.Fatal(err)
		}
		c = openCable(t, at.Index)
	})
	if err := unix.SetsockoptInt(int(c), unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		t.Fatal(err)
	}
	return c
}

// wants waits for a frame of ours to arrive, and compares it, its tags in their places.
func (c cable) wants(t *testing.T, what string, want frame) {
	t.Helper()
	c.wantsBytes(t, what, want.bytes())
}

func (c cable) wantsBytes(t *testing.T, what string, want []byte) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
		buffer, control := make([]byte, 1<<14), make([]byte, 256)
		n, nc, _, _, err := unix.Recvmsg(int(c), buffer, control, 0)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if !slices.Equal(buffer[:6], want[:6]) {
			continue
		}
		if got := withTag(t, buffer[:n], control[:nc]); dump(got) != dump(want) {
			t.Errorf("%s: got\n%swant\n%s", what, dump(got), dump(want))
		}
		return
	}
	t.Errorf("%s: nothing arrived", what)
}

// withTag puts the tag into the frame that struct tpacket_auxdata tells of.
func withTag(t *testing.T, b, control []byte) []byte {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		t.Fatalf("no word of tags: %v", err)
	}
	aux := messages[0].Data
	if binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_VALID == 0 {
		return b
	}
	tag := binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(aux[18:]))
	tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(aux[16:]))
	return append(append(append([]byte{}, b[:12]...), tag...), b[12:]...)
}

// put sends a frame by a device.
func put(t *testing.T, device string, b []byte) {
	t.Helper()
	dev, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index}); err != nil {
		t.Fatal(err)
	}
}
