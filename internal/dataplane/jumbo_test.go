package dataplane

import (
	"fmt"
	"strings"
	"testing"

	"weir/lvs"
)

// sized is the packet made so many bytes long, from its IP header on.
func sized(f frame, bytes int) frame {
	f.payload = ""
	f.payload = strings.Repeat("jumbo", 2000)[:bytes-(len(f.bytes())-14)]
	return f
}

// A frame of 9,000 bytes does not lie in one piece at XDP: it leaves whole, and
// errors about it are as short as any.
func TestJumboFrames(t *testing.T) {
	xdp := places[0] // a test run of tc takes no more than a page
	for _, r := range relateds {
		for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
			t.Run(fmt.Sprint(r.family, " ", method), func(t *testing.T) {
				withPlane(t, planOf(), func(b *bench) {
					b.ns.Batch("link set eth0 mtu 9000")
					plan := r.plan(method)
					none := virtual(lvs.UDP, addr(r.vip), lvs.RoundRobin)
					none.Port = 53
					plan.Services = append(plan.Services, none)
					b.set(t, plan)
					for _, proto := range []string{"tcp", "udp"} {
						f := frame{dst: ourMAC, src: clientMAC, from: r.port(r.client, 4312), to: r.port(r.vip, 80), proto: proto}
						for _, flags := range []string{"S", "AP", "A"} {
							f := sized(f.with(flags), 8960)
							b.wantBytes(t, xdp, proto+" "+flags, f.bytes(), back, func(out []byte) []byte { return r.sentOn(f, method, out) })
						}
					}
					f := sized(r.datagram(), 9000)
					f.to = r.port(r.vip, 53)
					b.wantBytes(t, xdp, "no server", f.bytes(), back, func(out []byte) []byte { return f.unreachable(out[18:20]) })
					if method == lvs.Tunnel {
						mtu := map[string]int{"IPv4": 8980, "IPv6": 8960}[r.family]
						f := sized(r.datagram(), mtu+1)
						b.wantBytes(t, xdp, "too big", f.bytes(), back, func(out []byte) []byte { return f.tooBig(mtu, out[18:20]) })
					}
				})
			})
		}
	}
}

// At tc they come by a device.
func TestJumboFramesAtTC(t *testing.T) {
	for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Tunnel, lvs.Masquerade} {
		t.Run(fmt.Sprint(method), func(t *testing.T) {
			withPlane(t, planOf(), func(b *bench) {
				far, device := b.elsewhere(t)
				b.ns.Batch("link set eth1 mtu 9000")
				far.Batch("link set eth1 mtu 9000")
				rs := lvs.RealServer{Addr: addr("203.0.113.11"), Port: 80, Weight: 1, Method: method}
				plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, rs), virtual(lvs.UDP, vip4, lvs.RoundRobin, rs))
				plan.Devices = []lvs.Device{{Name: "eth1", Hook: lvs.HookTC}}
				b.set(t, plan)
				heard := hear(t, far, "eth1")
				for _, proto := range []string{"tcp", "udp"} {
					f := sized(edit(syn(1), func(f *frame) { f.dst, f.proto = device.HardwareAddr.String(), proto }), 8960)
					far.Do(func() { put(t, "eth1", f.bytes()) })
					want := f.forwarded(rs1MAC)
					want.src = f.dst
					switch method {
					case lvs.Masquerade:
						want.to = "203.0.113.11:80"
					case lvs.Tunnel:
						heard.wantsBytes(t, proto, want.encapsulated("203.0.113.1", "203.0.113.11", nil))
						continue
					}
					heard.wantsBytes(t, proto, want.bytes())
				}
			})
		})
	}
}
