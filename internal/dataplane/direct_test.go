package dataplane

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/lvs"
)

// Each fixture is one packet, what becomes of it, and how it leaves. The same
// fixtures run at XDP and at tc.
func TestDirectRouting(t *testing.T) {
	v4 := frame{dst: ourMAC, src: clientMAC, from: "198.51.100.9:4312", to: "192.0.2.100:80", proto: "tcp", flags: "S"}
	v6 := frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4312", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	tests := []struct {
		name    string
		in      frame
		verdict verdict
		want    frame
	}{
		{"IPv4 TCP SYN", v4, back, v4.forwarded(rs1MAC)},
		{"IPv6 TCP SYN", v6, back, v6.forwarded(rs1MAC)},
		{"IPv4 UDP", edit(v4, func(f *frame) { f.proto, f.payload = "udp", "x" }), back,
			edit(v4, func(f *frame) { f.proto, f.payload = "udp", "x" }).forwarded(rs1MAC)},
		{"IPv6 UDP", edit(v6, func(f *frame) { f.proto, f.payload = "udp", "odd" }), back,
			edit(v6, func(f *frame) { f.proto, f.payload = "udp", "odd" }).forwarded(rs1MAC)},
		{"IPv4 options", edit(v4, func(f *frame) { f.options = 40 }), back,
			edit(v4, func(f *frame) { f.options = 40 }).forwarded(rs1MAC)},
		{"IPv6 extension headers", edit(v6, func(f *frame) { f.options = 3 }), back,
			edit(v6, func(f *frame) { f.options = 3 }).forwarded(rs1MAC)},
		{"payload", edit(v4, func(f *frame) { f.payload = "GET / HTTP/1.1\r\n\r\n" }), back,
			edit(v4, func(f *frame) { f.payload = "GET / HTTP/1.1\r\n\r\n" }).forwarded(rs1MAC)},
		{"the last hop but one", edit(v4, func(f *frame) { f.ttl = 2 }), back,
			edit(v4, func(f *frame) { f.ttl = 2 }).forwarded(rs1MAC)},
		{"TTL used up", edit(v4, func(f *frame) { f.ttl = 1 }), dropped, edit(v4, func(f *frame) { f.ttl = 1 })},
		{"hop limit used up", edit(v6, func(f *frame) { f.ttl = 1 }), dropped, edit(v6, func(f *frame) { f.ttl = 1 })},
		{"a port without a service", edit(v4, func(f *frame) { f.to = "192.0.2.100:81" }), pass,
			edit(v4, func(f *frame) { f.to = "192.0.2.100:81" })},
		{"another address", edit(v4, func(f *frame) { f.to = "192.0.2.1:80" }), pass,
			edit(v4, func(f *frame) { f.to = "192.0.2.1:80" })},
		{"TCP without SYN and without a connection", v4.with("A"), pass, v4.with("A")},
		{"SYN and ACK without a connection, as active FTP has it", v4.with("SA"), back, v4.with("SA").forwarded(rs1MAC)},
		{"SYN and RST without a connection", v4.with("SR"), pass, v4.with("SR")},
		{"another director's frame", v4.by(directorMAC), pass, v4.by(directorMAC)},
	}
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)),
		virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1)),
		virtual(lvs.UDP, vip6, lvs.RoundRobin, real("2001:db8::11", 1)),
	)
	plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for i, tt := range tests {
					own := strings.NewReplacer(":4312", fmt.Sprintf(":%d", 4000+i)) // a client's port
					tt.in.from, tt.want.from = own.Replace(tt.in.from), own.Replace(tt.want.from)
					b.subtest(t, tt.name, func(t *testing.T) {
						out := b.send(t, p, tt.in, tt.verdict)
						if diff := cmp.Diff(dump(tt.want.bytes()), dump(out)); diff != "" {
							t.Errorf("packet differs (-want +got):\n%s", diff)
						}
					})
				}
			})
		})
	}
}

func TestFrameForAnotherMachineIsLeftAlone(t *testing.T) {
	withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1))), func(b *bench) {
		f := syn(1)
		f.dst = rs2MAC
		b.send(t, places[0], f, pass)
	})
}

func TestCutPacketsAreLeftAlone(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, plan, func(b *bench) {
		whole := syn(1).bytes()
		for _, p := range places {
			for n := 34; n < len(whole); n++ { // a test run wants Ethernet and IP headers
				got, _, err := p.run(b, whole[:n])
				if err != nil {
					t.Fatalf("%s, %d bytes: %v", p.name, n, err)
				}
				if got != pass {
					t.Errorf("%s, %d of %d bytes: %s, want %s", p.name, n, len(whole), got, pass)
				}
			}
		}
	})
}

func TestLocalServerGetsItsPacketsThroughTheStack(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.1", 1))), func(b *bench) {
				out := b.send(t, p, syn(1), pass)
				if diff := cmp.Diff(dump(syn(1).bytes()), dump(out)); diff != "" {
					t.Errorf("the local server's packet changed:\n%s", diff)
				}
				b.send(t, p, syn(1).with("A"), pass)
				b.wantServer(t, "192.0.2.1", Counter{Conns: 1, Packets: 2, Bytes: 80})
			})
		})
	}
}

// A director forwards only while its lease runs, and what another director has
// forwarded goes no further.
func TestLease(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1)))
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: addrs(plan)}}
	plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				b.send(t, p, syn(1), pass) // never was master
				b.wantReason(t, "pass_passive", 1)

				b.renew(t, time.Hour)
				b.send(t, p, syn(1), back)
				b.send(t, p, syn(1).with("A"), back)
				b.send(t, p, syn(1).with("A").by(directorMAC), pass)

				b.renew(t, -time.Nanosecond) // run out, the process is dead or hung
				b.send(t, p, syn(2), pass)
				b.send(t, p, syn(1).with("A"), back) // what it serves, it serves on
				b.send(t, p, syn(1), pass)           // but a SYN begins something new,
				b.send(t, p, syn(1).with("A"), pass) // with all that follows it
				if leased, err := b.Leased(vi1); leased || err != nil {
					t.Errorf("leased %v, %v after it ran out", leased, err)
				}

				b.renew(t, time.Hour)
				if err := b.Release(vi1); err != nil {
					t.Fatal(err)
				}
				b.send(t, p, syn(3), pass)
			})
		})
	}
}

func TestGuardSilencesAVIPWithoutLease(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: append(addrs(plan), vip6)}}
	const silent, heard = 2, ^uint32(0) // TC_ACT_SHOT, TC_ACT_UNSPEC
	withPlane(t, plan, func(b *bench) {
		for _, tt := range []struct {
			name   string
			leased bool
			packet []byte
			want   uint32
		}{
			{"ARP for the VIP without lease", false, arpFrom(vip4), silent},
			{"ARP for the VIP with lease", true, arpFrom(vip4), heard},
			{"ARP for the machine's own address", false, arpFrom(addr("192.0.2.1")), heard},
			{"neighbour advertisement for the VIP without lease", false, advertisementOf(vip6), silent},
			{"neighbour advertisement for the VIP with lease", true, advertisementOf(vip6), heard},
			{"neighbour advertisement of its own", false, advertisementOf(addr("2001:db8::1")), heard},
			{"a TCP packet", false, syn(1).bytes(), heard},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b.renew(t, map[bool]time.Duration{true: time.Hour, false: -time.Second}[tt.leased])
				got, _, err := b.egress().Test(tt.packet)
				if err != nil || got != tt.want {
					t.Errorf("%d, %v, want %d", int32(got), err, int32(tt.want))
				}
			})
		}
	})
}
