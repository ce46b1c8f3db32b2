package dataplane

import (
	"strings"
	"testing"

	"weir/lvs"
)

// Of datagrams in one skb each has to fit, since they keep their length: what does not fit is
// told of. TCP's segments are made to fit on the way. A virtual machine's skb does not say
// how many there are.
func TestSegmentsInOne(t *testing.T) {
	plan := planOf()
	for vip, server := range map[string]string{"192.0.2.100": "192.0.2.11", "2001:db8::100": "2001:db8::11"} {
		for port, rs := range map[uint16]lvs.RealServer{80: real(server, 1), 81: tunnelled(server)} {
			for _, proto := range []lvs.Protocol{lvs.TCP, lvs.UDP} {
				s := virtual(proto, addr(vip), lvs.RoundRobin, rs)
				s.Port, s.RealServers[0].Port = port, port
				plan.Services = append(plan.Services, s)
			}
		}
	}
	payload := strings.Repeat("x", 3000)
	v4 := frame{dst: ourMAC, src: clientMAC, from: "198.51.100.9:4312", to: "192.0.2.100:80", proto: "udp", payload: payload}
	v6 := edit(v4, func(f *frame) { f.from, f.to = "[2001:db8:9::9]:4312", "[2001:db8::100]:80" })
	into := func(f frame) frame { f.to = strings.Replace(f.to, ":80", ":81", 1); return f }
	tcp := func(f frame) frame { f.proto, f.flags = "tcp", "SA"; return f }
	mayCut := func(f frame) frame { f.mayCut = true; return f }
	for _, tt := range []struct {
		name             string
		f                frame
		segments, length int
		want             verdict
		packets          uint64
	}{
		{"IPv4 datagrams that fit", v4, 3, 1472, back, 3},
		{"IPv4 datagrams too long by a byte", v4, 3, 1473, refused, 0},
		{"IPv4 datagrams without DF, as Linux has them", mayCut(v4), 3, 1473, refused, 0},
		{"one IPv4 datagram that may be cut", mayCut(v4), 0, 0, dropped, 0},
		{"IPv6 datagrams that fit", v6, 3, 1452, back, 3},
		{"IPv6 datagrams too long by a byte", v6, 3, 1453, refused, 0},
		{"IPv4 datagrams that no tunnel holds", into(v4), 3, 1453, refused, 0},
		{"IPv6 datagrams that no tunnel holds", into(v6), 3, 1413, refused, 0},
		{"TCP segments", tcp(v4), 3, 1460, back, 3},
		{"TCP segments that are made to fit", tcp(v6), 2, 8000, back, 2},
		{"a virtual machine's datagrams", v4, 0, 1000, back, 3},
		{"a virtual machine's segments", tcp(v4), 0, 1460, back, 3},
		{"one packet that is too long", v4, 0, 0, refused, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				got, _, err := runSegments(b, b.tc(), tt.f.bytes(), tt.segments, tt.length)
				if err != nil || got != tt.want {
					t.Fatalf("%s, %v, want %s", got, err, tt.want)
				}
				tooBig := uint64(0)
				if tt.want != back {
					tooBig = 1
				}
				b.wantReason(t, "drop_too_big", tooBig)
				if n := b.packetsSent(t); n != tt.packets {
					t.Errorf("%d packets are counted, want %d", n, tt.packets)
				}
			})
		})
	}
}

// packetsSent is the sum over all servers.
func (b *bench) packetsSent(t *testing.T) (n uint64) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Servers {
		n += s.Counter.Packets
	}
	return n
}
