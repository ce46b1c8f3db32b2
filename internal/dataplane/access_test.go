package dataplane

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"weir/lvs"
	"weir/test/bench/floor"
)

// clients is a rule of a test: "203.0.113.0/24", and perhaps a protocol and a port.
func clients(network string, protocol lvs.Protocol, port uint16) lvs.AccessRule {
	return lvs.AccessRule{Network: netip.MustParsePrefix(network), Protocol: protocol, Port: port}
}

// accessPlan has services of both protocols and families.
func accessPlan() lvs.Plan {
	return planOf(
		virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)), virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)),
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1)),
	)
}

// clientAt is a client's packet to a service of accessPlan.
func clientAt(source string, protocol lvs.Protocol, port int) frame {
	f := syn(port)
	f.from = netip.AddrPortFrom(addr(source), uint16(port)).String()
	if addr(source).Is6() {
		f.to = "[2001:db8::100]:80"
	}
	if protocol == lvs.UDP {
		f.proto, f.payload = "udp", "x"
	}
	return f
}

func TestDenyAndAllow(t *testing.T) {
	plan := accessPlan()
	plan.Deny = []lvs.AccessRule{
		clients("203.0.113.0/24", 0, 0), clients("203.0.113.64/26", 0, 0), clients("198.51.100.0/24", lvs.UDP, 0), clients("198.18.0.0/16", lvs.TCP, 80),
		clients("198.19.0.0/16", 0, 81), clients("2001:db8:bad::/48", 0, 0), clients("100.64.0.7/32", 0, 0), clients("::/0", lvs.UDP, 0),
	}
	plan.Allow = []lvs.AccessRule{
		clients("203.0.113.64/26", 0, 0), clients("203.0.113.128/25", 0, 0), clients("2001:db8:bad:1::/64", 0, 0), clients("203.0.113.5/32", lvs.TCP, 0),
		clients("198.18.0.0/15", 0, 0),
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, plan, func(b *bench) {
				denials := uint64(0)
				for i, tt := range []struct {
					source   string
					protocol lvs.Protocol
					want     verdict
				}{
					{"203.0.113.1", lvs.TCP, dropped}, {"203.0.113.1", lvs.UDP, dropped}, {"203.0.112.1", lvs.TCP, back},
					{"203.0.113.70", lvs.TCP, dropped},                                // equal prefixes
					{"203.0.113.130", lvs.TCP, back},                                  // a longer one allows
					{"203.0.113.5", lvs.TCP, back}, {"203.0.113.5", lvs.UDP, dropped}, // by protocol
					{"198.51.100.9", lvs.TCP, back}, {"198.51.100.9", lvs.UDP, dropped}, // by protocol
					{"198.18.3.4", lvs.TCP, dropped}, {"198.18.3.4", lvs.UDP, back}, // by both
					{"198.19.3.4", lvs.TCP, back},                                               // another port
					{"2001:db8:bad::1", lvs.TCP, dropped}, {"2001:db8:bad:1::1", lvs.TCP, back}, // IPv6
					{"100.64.0.7", lvs.TCP, dropped}, {"100.64.0.8", lvs.TCP, back}, {"100.64.0.8", lvs.UDP, back},
				} {
					for _, flags := range []string{"S", "A", "R"} {
						f := clientAt(tt.source, tt.protocol, 1000+i).with(flags)
						if tt.want == back && tt.protocol == lvs.TCP && flags == "R" {
							continue
						}
						b.send(t, p, f, tt.want)
						if tt.want == dropped {
							denials++
						}
					}
				}
				b.wantReason(t, "drop_denied", denials)
				// Only traffic to services is meant.
				b.send(t, p, edit(clientAt("203.0.113.1", lvs.TCP, 1), func(f *frame) { f.to = "192.0.2.100:22" }), pass)
				b.send(t, p, edit(clientAt("203.0.113.1", lvs.TCP, 1), func(f *frame) { f.to = "192.0.2.1:80" }), pass)
				sum := uint64(0)
				for _, r := range b.rules(t) {
					sum += r.Packets
				}
				if sum != denials {
					t.Errorf("the rules have denied %d packets, want %d", sum, denials)
				}
			})
		})
	}
}

func (b *bench) rules(t testing.TB) []lvs.AccessState {
	t.Helper()
	all, err := b.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (b *bench) deny(t testing.TB, r lvs.AccessRule, d time.Duration) {
	t.Helper()
	if err := b.AddRule(r, true, d); err != nil {
		t.Fatal(err)
	}
}

// Live rules stay when another state is set, end with their time, which a process that is
// dead need not see, and end connections when they come.
func TestLiveRules(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, accessPlan(), func(b *bench) {
				for i, source := range []string{"203.0.113.1", "203.0.113.200", "198.51.100.9", "2001:db8:9::9"} {
					for _, flags := range []string{"S", "A", "A"} {
						b.send(t, p, clientAt(source, lvs.TCP, 100+i).with(flags), back)
					}
				}
				b.deny(t, clients("203.0.113.0/24", 0, 0), time.Hour)
				b.deny(t, clients("2001:db8:9::/64", lvs.TCP, 80), 0)
				b.send(t, p, clientAt("203.0.113.1", lvs.TCP, 100).with("A"), dropped)
				b.send(t, p, clientAt("203.0.113.200", lvs.TCP, 101).with("A"), dropped)
				b.send(t, p, clientAt("198.51.100.9", lvs.TCP, 102).with("A"), back)
				b.send(t, p, clientAt("2001:db8:9::9", lvs.TCP, 103).with("A"), dropped)
				if n := b.connections(t); n != 1 {
					t.Errorf("%d connections are left, want 1", n)
				}

				b.set(t, accessPlan())
				b.send(t, p, clientAt("203.0.113.1", lvs.TCP, 104), dropped)

				// An exception does not lift a rule for the same network, a removal does.
				if err := b.AddRule(clients("203.0.113.200/32", 0, 0), false, 0); err != nil {
					t.Fatal(err)
				}
				b.send(t, p, clientAt("203.0.113.200", lvs.TCP, 105), back)
				if found, err := b.RemoveRule(clients("203.0.113.200/32", 0, 0), false); !found || err != nil {
					t.Errorf("removed %v, %v", found, err)
				}
				b.send(t, p, clientAt("203.0.113.200", lvs.TCP, 105).with("A"), dropped)
				if found, err := b.RemoveRule(clients("203.0.113.0/24", 0, 0), true); !found || err != nil {
					t.Errorf("removed %v, %v", found, err)
				}
				if found, err := b.RemoveRule(clients("203.0.113.0/24", 0, 0), true); found || err != nil {
					t.Errorf("removed %v, %v once more", found, err)
				}
				b.send(t, p, clientAt("203.0.113.1", lvs.TCP, 106), back)

				// One whose time is over shows the shorter prefix, before and after it is removed.
				b.deny(t, clients("198.51.0.0/16", 0, 0), 0)
				if err := b.AddRule(clients("198.51.100.9/32", 0, 0), false, time.Nanosecond); err != nil {
					t.Fatal(err)
				}
				b.send(t, p, clientAt("198.51.100.9", lvs.TCP, 107), dropped)
				before := len(b.rules(t))
				if err := b.access.Expire(); err != nil {
					t.Fatal(err)
				}
				b.send(t, p, clientAt("198.51.100.9", lvs.TCP, 108), dropped)
				if all := b.rules(t); len(all) != before || before != 2 {
					t.Errorf("rules %+v, before they were %d; want 2", all, before)
				}
			})
		})
	}
}

// connections counts the entries of the connection table.
func (b *bench) connections(t testing.TB) int {
	t.Helper()
	if err := b.conns.Sweep(false); err != nil {
		t.Fatal(err)
	}
	return b.conns.Live()
}

// The next process takes live rules up; those of the file are as its own says.
func TestRulesAreTakenUp(t *testing.T) {
	withPlane(t, accessPlan(), func(b *bench) {
		plan := accessPlan()
		plan.Deny = []lvs.AccessRule{clients("198.51.100.0/24", 0, 0), clients("203.0.113.0/24", 0, 0)}
		b.set(t, plan)
		b.deny(t, clients("203.0.113.0/24", 0, 0), time.Hour)
		b.deny(t, clients("100.64.0.0/10", lvs.UDP, 0), 0)
		b.Close()
		again := openBench(t, b.pinDir, 1<<15)
		b.Plane = again.Plane
		again.set(t, accessPlan())
		p := places[0]
		again.send(t, p, clientAt("203.0.113.1", lvs.TCP, 1), dropped)
		again.send(t, p, clientAt("198.51.100.1", lvs.TCP, 2), back)
		again.send(t, p, clientAt("100.64.0.1", lvs.UDP, 3), dropped)
		all := again.rules(t)
		if len(all) != 2 || !all[0].Until.IsZero() || time.Until(all[1].Until) > time.Hour || time.Until(all[1].Until) < 50*time.Minute {
			t.Errorf("taken up: %+v", all)
		}
	})
}

// Random rules and clients: the data plane and the sweep decide as the definition does.
func TestRandomRules(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	networks := func() netip.Prefix {
		if random.IntN(3) == 0 {
			a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(random.IntN(2)), byte(random.IntN(2)), 14: byte(random.IntN(2)), 15: byte(random.IntN(4))})
			p, _ := a.Prefix([]int{0, 32, 40, 47, 120, 127, 128}[random.IntN(7)])
			return p
		}
		a := netip.AddrFrom4([4]byte{203, byte(random.IntN(2)), byte(random.IntN(2)), byte(random.IntN(4))})
		p, _ := a.Prefix([]int{0, 8, 15, 16, 23, 24, 30, 31, 32}[random.IntN(9)])
		return p
	}
	withPlane(t, accessPlan(), func(b *bench) {
		for range 40 {
			plan := accessPlan()
			for range random.IntN(12) {
				r := lvs.AccessRule{Network: networks(), Protocol: []lvs.Protocol{0, lvs.TCP, lvs.UDP}[random.IntN(3)], Port: []uint16{0, 80, 81}[random.IntN(3)]}
				if random.IntN(2) == 0 {
					plan.Deny = append(plan.Deny, r)
				} else {
					plan.Allow = append(plan.Allow, r)
				}
			}
			b.set(t, plan)
			for n := range 20 {
				client := networks().Addr()
				protocol := []lvs.Protocol{lvs.TCP, lvs.UDP}[random.IntN(2)]
				if client.Is6() {
					protocol = lvs.TCP
				}
				want := back
				if denies(plan, client, protocol, 80) {
					want = dropped
				}
				if got := b.verdictOf(t, clientAt(client.String(), protocol, 2000+n)); got != want {
					t.Fatalf("%s %s: %q, want %q by deny %v, allow %v", client, protocol, got, want, plan.Deny, plan.Allow)
				}
			}
			if err := b.conns.CutDenied(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func (b *bench) verdictOf(t testing.TB, f frame) verdict {
	t.Helper()
	got, _, err := places[0].run(b, f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// denies is the definition: the longest prefix that matches counts, and of equal ones deny.
func denies(plan lvs.Plan, client netip.Addr, protocol lvs.Protocol, port uint16) bool {
	longest := func(rules []lvs.AccessRule) int {
		bits := -1
		for _, r := range rules {
			if r.Network.Contains(client) && (r.Protocol == 0 || r.Protocol == protocol) && (r.Port == 0 || r.Port == port) {
				bits = max(bits, r.Network.Bits())
			}
		}
		return bits
	}
	deny := longest(plan.Deny)
	return deny >= 0 && deny >= longest(plan.Allow)
}

// BenchmarkCut ends a million connections by a rule that comes, among 1,000 others.
func BenchmarkCut(b *testing.B) {
	const n = 1_000_000
	withFloor(b, tableFor(n+n/2), manyServers(lvs.RoundRobin, 2), func(m *meter) {
		for i := range 1000 {
			m.deny(b, clients(fmt.Sprintf("100.%d.%d.0/24", 64+i/256, i%256), []lvs.Protocol{0, lvs.TCP}[i%2], []uint16{0, 80}[i/2%2]), 0)
		}
		m.each(b, floor.Flows{Count: n}, syn(1), syn(1).with("A"))
		m.report(b, "ended", "s", func() float64 {
			if live := m.connections(b); live != n {
				b.Fatalf("%d connections, want %d", live, n)
			}
			begun := time.Now()
			m.deny(b, clients("0.0.0.0/0", 0, 0), time.Hour)
			took := time.Since(begun)
			if live := m.connections(b); live != 0 {
				b.Fatalf("%d connections are left", live)
			}
			return took.Seconds()
		})
	})
}
