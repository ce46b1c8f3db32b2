package dataplane

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

const (
	director4 = "192.0.2.77"
	director6 = "2001:db8::77"
	cloudMAC  = "12:34:56:78:9a:bc"
)

// otherDirector has the neighbour table know the other director, and returns it.
func otherDirector(b *bench, device string) []lvs.Director {
	b.ns.Batch("neigh replace "+director4+" lladdr "+device+" dev eth0 nud permanent",
		"neigh replace "+director6+" lladdr "+device+" dev eth0 nud permanent")
	return []lvs.Director{{MAC: mac(directorMAC), Addr: addr(director4)}, {MAC: mac(directorMAC), Addr: addr(director6)}}
}

// A frame from a director's Ethernet address is a client's where the route back to its
// source leads to that address: the director itself and what is behind it. Anything else
// was forwarded by the director.
func TestClientsBehindAnotherDirector(t *testing.T) {
	asks := func(source string) frame {
		from := netip.AddrPortFrom(addr(source), 4312)
		to := "192.0.2.100:80"
		if from.Addr().Is6() {
			to = "[2001:db8::100]:80"
		}
		return frame{dst: ourMAC, src: directorMAC, from: from.String(), to: to, proto: "tcp", flags: "S"}
	}
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1)),
	)
	for _, tt := range []struct {
		name   string
		routes []string
		want   map[string]verdict
	}{
		{"no routes", nil, map[string]verdict{
			director4: back, director6: back, "198.51.100.9": pass, "2001:db8:9::9": pass, "192.0.2.11": pass, "192.0.2.200": pass,
		}},
		{"it has other addresses", []string{
			"neigh replace 192.0.2.200 lladdr " + directorMAC + " dev eth0 nud permanent",
			"neigh replace 2001:db8::200 lladdr " + directorMAC + " dev eth0 nud permanent",
		}, map[string]verdict{"192.0.2.200": back, "2001:db8::200": back, "192.0.2.201": pass}},
		{"it routes a network", []string{
			"route add 198.51.100.0/24 via " + director4, "route add 2001:db8:9::/64 via " + director6,
		}, map[string]verdict{"198.51.100.9": back, "2001:db8:9::9": back, "203.0.113.1": pass, "192.0.2.11": pass}},
		{"it is the default router", []string{
			"route add default via " + director4, "route add default via " + director6,
			"neigh replace 192.0.2.250 lladdr " + clientMAC + " dev eth0 nud permanent",
			"route add 198.51.100.0/24 via 192.0.2.250", "route add unreachable 203.0.113.0/24",
		}, map[string]verdict{
			"8.8.8.8": back, "2001:db8:9::9": back, "198.51.100.9": pass, "192.0.2.11": pass, "2001:db8::11": pass,
		}},
		{"it is one of two routers", []string{
			"neigh replace 192.0.2.250 lladdr " + clientMAC + " dev eth0 nud permanent",
			"route add 198.51.100.0/24 nexthop via 192.0.2.250 dev eth0 nexthop via " + director4 + " dev eth0",
		}, map[string]verdict{"198.51.100.9": back}},
		{"another router is the default one of IPv4, it of IPv6", []string{
			"route add default via " + director6,
		}, map[string]verdict{"2001:db8:9::9": back, "198.51.100.9": pass, "8.8.8.8": pass}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				plan := plan
				plan.Directors = otherDirector(b, directorMAC)
				b.ns.Batch(tt.routes...)
				b.set(t, plan)
				for _, p := range places {
					for source, want := range tt.want {
						b.send(t, p, asks(source), want)
						b.send(t, p, asks(source).with("A"), want)
						b.send(t, p, asks(source).with("R"), want)
					}
				}
			})
		})
	}
}

// Routes and neighbours that come later are followed, and a route that goes.
func TestRoutesBackAreFollowed(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, plan, func(b *bench) {
		plan.Directors = otherDirector(b, directorMAC)
		b.set(t, plan)
		for i, change := range []struct {
			command string
			want    verdict
		}{
			{"route add 198.51.100.0/24 via " + director4, back},
			{"route del 198.51.100.0/24", pass},
			{"neigh replace 192.0.2.250 lladdr " + directorMAC + " dev eth0 nud permanent", pass},
			{"route add 198.51.100.9/32 via 192.0.2.250", back},
			{"neigh replace 192.0.2.250 lladdr " + clientMAC + " dev eth0 nud permanent", pass},
		} {
			b.ns.Batch(change.command)
			nstest.WaitFor(t, "a look at the routes", func() bool {
				b.resolve()
				_, putOff := b.directors.PutOff()
				return !putOff
			})
			for _, p := range places {
				b.send(t, p, syn(100+i).by(directorMAC), change.want)
			}
		}
	})
}

// Where the director's neighbours find it by another Ethernet address than its
// advertisements come from, that one is not the director's alone: all clients' frames have
// it. Where the network gives everybody one address, every route back leads to it. Clients
// are served in both, but not by another director, unless this one is master: the packet
// may be what that one has forwarded.
func TestOneEthernetAddressForAll(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp []string
	}{
		{"frames have it, neighbours do not", []string{
			"neigh replace " + director4 + " lladdr " + directorMAC + " dev eth0 nud permanent",
			"neigh replace 192.0.2.250 lladdr " + clientMAC + " dev eth0 nud permanent",
		}},
		{"neighbours have it as well", []string{
			"neigh replace " + director4 + " lladdr " + cloudMAC + " dev eth0 nud permanent",
			"neigh replace 192.0.2.250 lladdr " + cloudMAC + " dev eth0 nud permanent",
		}},
	} {
		for _, p := range places {
			t.Run(tt.name+", "+p.name, func(t *testing.T) {
				plan := planOf(
					virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)),
					virtual(lvs.UDP, vip4, lvs.RoundRobin, real(director4, 1)),
				)
				plan.Instances = []lvs.Instance{{ID: vi1, VIPs: addrs(plan)}}
				plan.Directors = []lvs.Director{{MAC: mac(cloudMAC), Addr: addr(director4)}}
				withPlane(t, planOf(), func(b *bench) {
					b.ns.Batch(append(tt.setUp, "route add default via 192.0.2.250")...)
					b.set(t, plan)
					b.renew(t, time.Hour)
					b.send(t, p, syn(1).by(cloudMAC), back)
					datagram := syn(2).by(cloudMAC)
					datagram.proto, datagram.payload = "udp", "x"
					for range 3 { // not from the flow cache, which does not ask for the lease
						b.send(t, p, datagram, back)
					}

					wantTTL(t, b, p, datagram, 1) // and no farther than there
					wantTTL(t, b, p, syn(1).by(cloudMAC).with("A"), 63)
					// Where the other director is master as well, and sends on to this one.
					last := syn(3).by(cloudMAC)
					last.ttl = 1
					b.send(t, p, last, pass)
					last.proto, last.payload = "udp", "x"
					b.send(t, p, last, pass)
					b.wantReason(t, "pass_from_director", 2)

					b.renew(t, -time.Nanosecond)
					b.send(t, p, syn(1).by(cloudMAC).with("A"), back) // what it serves, it serves on,
					b.send(t, p, datagram, pass)                      // but not by the new master
					b.wantReason(t, "pass_from_director", 3)
				})
			})
		}
	}
}

// wantTTL sends a frame, and compares the TTL that it is sent on with, and the checksum.
func wantTTL(t *testing.T, b *bench, p place, f frame, want byte) {
	t.Helper()
	got, out, err := p.run(b, f.bytes())
	if err != nil || got != back {
		t.Fatalf("%s, %v", got, err)
	}
	if head := out[14:34]; head[8] != want || sum(head) != 0xffff {
		t.Errorf("the TTL is %d, want %d; the header's sum is %#04x, want 0xffff", head[8], want, sum(head))
	}
}

// A director that was master has connections of that time. What the new master forwards to
// it goes no further: not to the new master, and to no other server.
func TestConnectionsOfFormerMaster(t *testing.T) {
	plan := planOf(virtual(lvs.UDP, vip4, lvs.RoundRobin, real(director4, 1)), virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: addrs(plan)}}
	datagram := syn(1)
	datagram.proto, datagram.payload = "udp", "x"
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, planOf(), func(b *bench) {
				plan := plan
				plan.Directors = otherDirector(b, directorMAC)
				b.set(t, plan)
				b.renew(t, time.Hour)
				for _, f := range []frame{datagram, syn(2), syn(2).with("A"), datagram} {
					b.send(t, p, f, back)
				}
				b.renew(t, -time.Nanosecond)
				for range 2 {
					b.send(t, p, datagram.by(directorMAC), pass)
					b.send(t, p, syn(2).with("A").by(directorMAC), pass)
				}
				b.wantReason(t, "pass_from_director", 4)
			})
		})
	}
}

// A new director is taken in by connections that are there already: their lines in the
// flow cache were made when its Ethernet address was a client's.
func TestNewDirectorIsNotServedFromTheFlowCache(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				for _, flags := range []string{"S", "A", "A"} {
					b.send(t, p, syn(1).with(flags).by(directorMAC), back)
				}
				plan := plan
				plan.Directors = otherDirector(b, directorMAC)
				b.set(t, plan)
				b.send(t, p, syn(1).with("A").by(directorMAC), pass)
			})
		})
	}
}

// Where a director advertises from a virtual Ethernet address (use_vmac), it still forwards
// by its own.
func TestDirectorWithVirtualMAC(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, plan, func(b *bench) {
		plan.Directors = otherDirector(b, directorMAC)
		for i := range plan.Directors {
			plan.Directors[i].MAC = mac("00:00:5e:00:01:33")
		}
		b.set(t, plan)
		for i, p := range places {
			b.send(t, p, syn(1+i).by(directorMAC), pass)
			from := syn(1 + i).by(directorMAC)
			from.from = director4 + ":4312"
			b.send(t, p, from, back)
		}
	})
}

// A director that routes more networks than there is room for: the state is taken, its clients
// are served, and that is told once. With less routes its packets are told apart again.
func TestDirectorWithTooManyRoutes(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	var log lockedBuffer
	withLog(t, slog.New(slog.NewTextHandler(&log, nil)), plan, func(b *bench) {
		plan.Directors = otherDirector(b, directorMAC)
		var add, del []string
		for i := range int(b.maps.DirectorRoutes.MaxEntries()) + 10 { // every other network, so that none lies beside another
			to := fmt.Sprintf("%d.%d.%d.0/24 via %s", 11+i/(256*128), i/128%256, 2*(i%128), director4)
			add, del = append(add, "route add "+to), append(del, "route del "+to)
		}
		b.ns.Batch(add...)
		b.set(t, plan)
		b.resolve()
		from := func(source string, port int) frame {
			return edit(syn(port).by(directorMAC), func(f *frame) { f.from = fmt.Sprint(source, ":", port) })
		}
		for _, p := range places {
			b.send(t, p, from("11.0.0.9", 1), back)
			b.send(t, p, from("198.51.100.9", 1), back)
		}
		if n := strings.Count(log.String(), "more networks than the data plane has room for"); n != 1 {
			t.Errorf("told %d times, want once:\n%s", n, log.String())
		}
		b.ns.Batch(del[100:]...)
		if _, err := b.directors.Set(nil); err != nil {
			t.Fatal(err)
		}
		b.set(t, plan)
		for _, p := range places {
			b.send(t, p, from("11.0.0.9", 2), back)
			b.send(t, p, from("198.51.100.9", 2), pass)
		}
	})
}
