package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// masqueraded is a real server behind NAT, on a port of its own.
func masqueraded(addr string, port uint16) lvs.RealServer {
	rs := real(addr, 1)
	rs.Method, rs.Port = lvs.Masquerade, port
	return rs
}

// sentOn is the frame as NAT sends it to the server.
func (f frame) sentOn(mac, to string) frame {
	f = f.forwarded(mac)
	f.to = to
	return f
}

// A connection through NAT, packet by packet and both ways, at XDP and at tc, on the
// full path and by the flow cache: addresses, ports, TTL and every checksum, which the fixtures make by their own
// arithmetic.
func TestMasquerade(t *testing.T) {
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)),
		virtual(lvs.UDP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8053)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, masqueraded("2001:db8::11", 8080)),
		virtual(lvs.UDP, vip6, lvs.RoundRobin, masqueraded("2001:db8::11", 8053)),
	)
	tests := []struct {
		name, proto               string
		client, vip, server       string
		first, answered, followed string // flags
		payload                   string
		options                   int
	}{
		{"IPv4 TCP", "tcp", "198.51.100.9:4312", "192.0.2.100:80", "192.0.2.11:8080", "S", "SA", "A", "", 0},
		{"IPv4 TCP with payload", "tcp", "198.51.100.9:4312", "192.0.2.100:80", "192.0.2.11:8080", "S", "SA", "AP", "GET / HTTP/1.1\r\n\r\n", 0},
		{"IPv4 TCP with options", "tcp", "198.51.100.9:4312", "192.0.2.100:80", "192.0.2.11:8080", "S", "SA", "A", "odd", 8},
		{"IPv4 UDP", "udp", "198.51.100.9:4312", "192.0.2.100:80", "192.0.2.11:8053", "", "", "", "payload", 0},
		{"IPv6 TCP", "tcp", "[2001:db8:9::9]:4312", "[2001:db8::100]:80", "[2001:db8::11]:8080", "S", "SA", "A", "odd", 0},
		{"IPv6 TCP with extension headers", "tcp", "[2001:db8:9::9]:4312", "[2001:db8::100]:80", "[2001:db8::11]:8080", "S", "SA", "A", "", 2},
		{"IPv6 UDP", "udp", "[2001:db8:9::9]:4312", "[2001:db8::100]:80", "[2001:db8::11]:8053", "", "", "", "payload", 0},
	}
	withPlane(t, plan, func(b *bench) {
		port := 4000
		for _, p := range places {
			for _, tt := range tests {
				port++
				tt.client = strings.Replace(tt.client, ":4312", fmt.Sprintf(":%d", port), 1)
				b.subtest(t, p.name+" "+tt.name, func(t *testing.T) {
					ask := frame{dst: ourMAC, src: clientMAC, from: tt.client, to: tt.vip, proto: tt.proto, flags: tt.first, payload: tt.payload, options: tt.options}
					answer := frame{dst: ourMAC, src: rs1MAC, from: tt.server, to: tt.client, proto: tt.proto, flags: tt.answered, payload: tt.payload, options: tt.options}
					back := answer.forwarded(clientMAC)
					back.from = tt.vip
					b.wantFrame(t, p, ask, ask.sentOn(rs1MAC, tt.server))
					b.wantFrame(t, p, answer, back)
					ask.flags, answer.flags, back.flags = tt.followed, tt.followed, tt.followed
					for range 3 { // by the full path, and by the lines of the flow cache
						b.wantFrame(t, p, ask, ask.sentOn(rs1MAC, tt.server))
						b.wantFrame(t, p, answer, back)
					}
					b.send(t, p, edit(ask, func(f *frame) { f.ttl = 1 }), dropped)
					b.send(t, p, edit(answer, func(f *frame) { f.ttl = 1 }), dropped)
				})
			}
		}
	})
}

// wantFrame sends a packet that is to be forwarded, and compares it byte by byte.
func (b *bench) wantFrame(t testing.TB, p place, in, want frame) {
	t.Helper()
	out := b.send(t, p, in, back)
	if diff := cmp.Diff(dump(want.bytes()), dump(out)); diff != "" {
		t.Errorf("%s to %s differs (-want +got):\n%s", in.from, in.to, diff)
	}
}

// A checksum that comes out as 0 is sent as all ones (RFC 768): 0 would be none.
func TestUDPChecksumThatComesOutAs0(t *testing.T) {
	for _, p := range places {
		for _, r := range relateds {
			t.Run(p.name+" "+r.family, func(t *testing.T) {
				withPlane(t, r.plan(lvs.Masquerade), func(b *bench) {
					check := map[string]int{"IPv4": 14 + 20 + 6, "IPv6": 14 + 40 + 6}[r.family]
					f := r.datagram()
					for n := 0; ; n++ {
						f.payload = string([]byte{byte(n >> 8), byte(n)})
						if want := r.sentOn(f, lvs.Masquerade, nil); want[check] == 0 && want[check+1] == 0 {
							want[check], want[check+1] = 0xff, 0xff
							b.wantBytes(t, p, f.proto, f.bytes(), back, func([]byte) []byte { return want })
							return
						}
					}
				})
			})
		}
	}
}

func TestUDPWithoutChecksumStaysSo(t *testing.T) {
	plan := planOf(virtual(lvs.UDP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8053)))
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				in := frame{dst: ourMAC, src: clientMAC, from: "198.51.100.9:4312", to: "192.0.2.100:80", proto: "udp", payload: "x"}.bytes()
				in[40], in[41] = 0, 0
				_, out, err := p.run(b, in)
				if err != nil || out[40] != 0 || out[41] != 0 {
					t.Errorf("checksum %x %x, %v; want none", out[40], out[41], err)
				}
			})
		})
	}
}

// The states of a connection whose both directions are seen: "<" is a packet of
// the server's.
func TestStatesOfBothDirections(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	tests := []struct {
		packets []string
		want    abi.BpfConnState
	}{
		{[]string{"S"}, abi.BpfConnStateSTATE_SYN_RECV},
		{[]string{"S", "<SA"}, abi.BpfConnStateSTATE_SYN_RECV},
		{[]string{"S", "<SA", "A"}, abi.BpfConnStateSTATE_ESTABLISHED},
		{[]string{"S", "<SA", "A", "FA"}, abi.BpfConnStateSTATE_CLOSE_WAIT},
		{[]string{"S", "<SA", "A", "<FA"}, abi.BpfConnStateSTATE_FIN_WAIT},
		{[]string{"S", "<SA", "A", "<FA", "FA"}, abi.BpfConnStateSTATE_TIME_WAIT},
		{[]string{"S", "<SA", "A", "FA", "<FA"}, abi.BpfConnStateSTATE_TIME_WAIT},
		{[]string{"S", "<RA"}, abi.BpfConnStateSTATE_CLOSE},
		{[]string{"S", "<SA", "A", "R"}, abi.BpfConnStateSTATE_CLOSE},
	}
	withPlane(t, plan, func(b *bench) {
		for port, tt := range tests {
			b.subtest(t, strings.Join(tt.packets, " "), func(t *testing.T) {
				ask := syn(port)
				for _, flags := range tt.packets {
					f := ask.with(flags)
					if flags[0] == '<' {
						f = frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: ask.from, proto: "tcp", flags: flags[1:]}
					}
					b.send(t, places[0], f, back)
				}
				if got := b.state(t, ask); got != tt.want {
					t.Errorf("state %d, want %d", got, tt.want)
				}
			})
		}
	})
}

// One client's port, two VIPs, one server: the answers could not be told apart,
// so the second connection is refused while the first lives.
func TestCollision(t *testing.T) {
	other := addr("192.0.2.101")
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)),
		virtual(lvs.TCP, other, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)),
	)
	withPlane(t, plan, func(b *bench) {
		second := syn(1)
		second.to = "192.0.2.101:80"
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], second, dropped)
		b.wantReason(t, "drop_collision", 1)
		b.send(t, places[0], syn(1).with("A"), back)
		b.age(t, syn(1), time.Hour)
		b.sweepUntil(t, 0)
		b.send(t, places[0], second, back)
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: syn(1).from, proto: "tcp", flags: "SA"}
		want := answer.forwarded(clientMAC)
		want.from = "192.0.2.101:80"
		b.wantFrame(t, places[0], answer, want)
	})
}

// What a real server sends of its own is none of ours.
func TestOtherTrafficOfARealServerIsLeftAlone(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	withPlane(t, plan, func(b *bench) {
		b.send(t, places[0], syn(1), back)
		for _, f := range []frame{
			{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: "198.51.100.9:2", proto: "tcp", flags: "SA"},
			{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:40000", to: "198.51.100.9:1", proto: "tcp", flags: "S"},
			{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: "198.51.100.9:1", proto: "udp"},
		} {
			b.send(t, places[0], f, pass)
		}
	})
}

func TestAnswersAreCountedAndGoWithTheirConnection(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	withPlane(t, plan, func(b *bench) {
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: syn(1).from, proto: "tcp", flags: "SA"}
		b.send(t, places[0], syn(1), back)
		b.send(t, places[0], answer, back)
		b.wantServer(t, "192.0.2.11", Counter{Conns: 1, Packets: 1, Bytes: 40, OutPackets: 1, OutBytes: 40})
		b.age(t, syn(1), time.Hour)
		b.sweepUntil(t, 0)
		b.send(t, places[0], answer, pass)
		for key := range b.everyConn(t) {
			t.Errorf("a connection is left: %+v", key)
		}
	})
}

// A client whose packets come by another router is answered by that one.
func TestAnswersFollowTheClient(t *testing.T) {
	const otherRouter = "02:00:00:00:00:98"
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	withPlane(t, plan, func(b *bench) {
		answer := frame{dst: ourMAC, src: rs1MAC, from: "192.0.2.11:8080", to: syn(1).from, proto: "tcp", flags: "A"}
		b.send(t, places[0], syn(1), back)
		b.age(t, syn(1), time.Second) // the way is looked at once a tick
		b.send(t, places[0], syn(1).with("A").by(otherRouter), back)
		want := answer.forwarded(otherRouter)
		want.from = "192.0.2.100:80"
		b.wantFrame(t, places[0], answer, want)
	})
}

// What NAT cannot do is refused, with the way out, and not done wrongly.
func TestAnotherPortOfALoopbackAddressIsRefused(t *testing.T) {
	withPlane(t, lvs.Plan{}, func(b *bench) {
		for _, of := range []struct {
			vip  netip.Addr
			loop string
			syn  frame
		}{
			{vip4, "127.0.0.1", syn(1)},
			{vip6, "::1", frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:1", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}},
		} {
			err := b.Set(planOf(virtual(lvs.TCP, of.vip, lvs.RoundRobin, masqueraded(of.loop, 8080))))
			if err == nil || !strings.Contains(err.Error(), of.loop) || !strings.Contains(err.Error(), "or port 80") {
				t.Errorf("got %v, want the server named and the port to use", err)
			}
			b.set(t, planOf(virtual(lvs.TCP, of.vip, lvs.RoundRobin, masqueraded(of.loop, 80))))
			for _, p := range places {
				out := b.send(t, p, of.syn, pass)
				if diff := cmp.Diff(dump(of.syn.bytes()), dump(out)); diff != "" {
					t.Errorf("%s: the packet changed:\n%s", p.name, diff)
				}
			}
		}
	})
}
