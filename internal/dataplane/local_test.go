package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// egress is the place where this machine's own packets are met, of a device.
func egress(name string, index func(b *bench) int) place {
	return place{name, func(b *bench, in []byte) (verdict, []byte, error) {
		return runEgress(b, in, skbContext{Ifindex: uint32(index(b))})
	}}
}

func runEgress(b *bench, in []byte, context skbContext) (verdict, []byte, error) {
	run := &ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+256), Context: context}
	ret, err := b.egress().Run(run)
	return verdictOf(map[uint32]verdict{2: dropped, ^uint32(0): pass, 7: back}[ret], run.DataOut), run.DataOut, err
}

var (
	atLo   = egress("lo", func(*bench) int { return 1 })
	atEth0 = egress("eth0", func(b *bench) int { return b.index })
)

const noMAC = "00:00:00:00:00:00"

// ownCase is a connection of the director's own to a server that is another machine.
type ownCase struct {
	name           string
	method         lvs.ForwardMethod
	server         string // its address
	client, sender string // as the client knows it, and as the server sees it
	vip, answerer  string // as the client knows the service, and as answers come
	outer          string // the director's, on the way
}

var ownCases = []ownCase{
	{"NAT IPv4", lvs.Masquerade, "192.0.2.11", "192.0.2.100:4000", "192.0.2.100:4000", "192.0.2.100:80", "192.0.2.11:80", ""},
	{"NAT IPv6", lvs.Masquerade, "2001:db8::11", "[2001:db8::100]:4000", "[2001:db8::100]:4000", "[2001:db8::100]:80", "[2001:db8::11]:80", ""},
	{"DR IPv4", lvs.DirectRoute, "192.0.2.11", "192.0.2.100:4000", "192.0.2.1:4000", "192.0.2.100:80", "192.0.2.100:80", ""},
	{"DR IPv6", lvs.DirectRoute, "2001:db8::11", "[2001:db8::100]:4000", "[2001:db8::1]:4000", "[2001:db8::100]:80", "[2001:db8::100]:80", ""},
	{"TUN IPv4 in IPv4", lvs.Tunnel, "192.0.2.11", "192.0.2.100:4000", "192.0.2.1:4000", "192.0.2.100:80", "192.0.2.100:80", "192.0.2.1"},
	{"TUN IPv6 in IPv6", lvs.Tunnel, "2001:db8::11", "[2001:db8::100]:4000", "[2001:db8::1]:4000", "[2001:db8::100]:80", "[2001:db8::100]:80", "2001:db8::1"},
	{"TUN IPv6 in IPv4", lvs.Tunnel, "192.0.2.11", "[2001:db8::100]:4000", "[2001:db8::1]:4000", "[2001:db8::100]:80", "[2001:db8::100]:80", "192.0.2.1"},
	{"TUN IPv4 in IPv6", lvs.Tunnel, "2001:db8::11", "192.0.2.100:4000", "192.0.2.1:4000", "192.0.2.100:80", "192.0.2.100:80", "2001:db8::1"},
	{"DR IPv4 from another address of its own", lvs.DirectRoute, "192.0.2.11", "198.51.100.1:4000", "198.51.100.1:4000", "192.0.2.100:80", "192.0.2.100:80", ""},
}

// on has the service at another port.
func (c ownCase) on(port int) ownCase {
	for _, s := range []*string{&c.vip, &c.answerer} {
		*s = strings.Replace(*s, ":80", fmt.Sprintf(":%d", port), 1)
	}
	return c
}

func (c ownCase) plan(protocol lvs.Protocol) lvs.Plan {
	vip := netip.MustParseAddrPort(c.vip)
	rs := real(c.server, 1)
	rs.Method, rs.Port = c.method, vip.Port()
	vs := virtual(protocol, vip.Addr(), lvs.RoundRobin, rs)
	vs.Port = vip.Port()
	// Others, which make both addresses virtual.
	plan := planOf(vs, virtual(lvs.TCP, vip4, lvs.RoundRobin), virtual(lvs.TCP, vip6, lvs.RoundRobin))
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
	return plan
}

// wantService compares the counters of the plan's first service.
func (b *bench) wantService(t *testing.T, plan lvs.Plan, want Counter) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := stats.Services[plan.Services[0].ServiceKey].Counter; got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// What the director itself sends to a service, and what comes back, byte by byte;
// at XDP the answer is left to tc.
func TestOwnPackets(t *testing.T) {
	behind := place{"behind XDP", func(b *bench, in []byte) (verdict, []byte, error) { return runSKB(b, b.behind(), in) }}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		b.ns.Batch("addr add 192.0.2.100/32 dev eth0", "addr add 2001:db8::100/128 dev eth0 nodad")
		port := 80
		for _, c := range ownCases {
			for proto, protocol := range map[string]lvs.Protocol{"tcp": lvs.TCP, "udp": lvs.UDP} {
				port++
				c := c.on(port)
				b.subtest(t, c.name+" "+proto, func(t *testing.T) {
					plan := c.plan(protocol)
					b.set(t, plan)
					ask := frame{dst: noMAC, src: noMAC, from: c.client, to: c.vip, proto: proto, payload: "odd"}
					answer := frame{dst: ourMAC, src: rs1MAC, from: c.answerer, to: c.sender, proto: proto, payload: "odd"}
					for _, flags := range []string{"S", "A"} {
						ask.flags, answer.flags = flags, strings.Replace(flags, "S", "SA", 1)
						out := b.send(t, atLo, ask, back)
						sent := ask.forwarded(rs1MAC)
						sent.from = c.sender
						if c.method == lvs.Masquerade {
							sent.to = c.answerer
						}
						want := sent.bytes()
						if c.outer != "" {
							want = sent.encapsulated(c.outer, c.server, out)
						}
						wantSame(t, "to the server", want, out)

						home := answer.forwarded(noMAC)
						home.src, home.from, home.to = noMAC, c.vip, c.client
						wantSame(t, "at XDP", answer.bytes(), b.send(t, places[0], answer, pass))
						for _, p := range []place{places[1], behind} {
							wantSame(t, p.name, home.bytes(), b.send(t, p, answer, back))
						}
					}
					length := func(f frame) uint64 { return uint64(len(f.bytes()) - 14) }
					b.wantService(t, plan, Counter{Conns: 1, Packets: 2, Bytes: 2 * length(ask), OutPackets: 4, OutBytes: 4 * length(answer)})
					b.goBy(t, aWeek)
					b.sweepUntil(t, 0)
					if n := b.connections(t); n != 0 {
						t.Errorf("%d entries are left of a connection that has ended", n)
					}
				})
			}
		}
	})
}

const aWeek = 7 * 24 * uint32(time.Hour/conn.TickLength)

func wantSame(t *testing.T, what string, want, got []byte) {
	t.Helper()
	if diff := cmp.Diff(dump(want), dump(got)); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// An answer's entry goes with its connection also when our address on the way has
// changed meanwhile, by which it would be found.
func TestOwnAnswersEntryGoes(t *testing.T) {
	c := ownCases[2].on(81)
	withPlane(t, c.plan(lvs.TCP), func(b *bench) {
		ask := frame{dst: noMAC, src: noMAC, from: c.client, to: c.vip, proto: "tcp", flags: "S"}
		b.send(t, atLo, ask, back)
		if err := b.maps.LocalAddrs.Put(first[uint32, abi.BpfAddr](b.maps.LocalAddrs), abi.AddrOf(addr("192.0.2.2"))); err != nil {
			t.Fatal(err)
		}
		b.goBy(t, aWeek)
		b.sweepUntil(t, 0) // the connection, and, at the latest in the next one,
		b.sweepUntil(t, 0) // its answers
		if n := b.connections(t); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// What is not this machine's own, not to a service, or has been balanced, goes on as
// it is; and nobody else speaks for a client that is this machine.
func TestOwnIsOnlyOwn(t *testing.T) {
	c := ownCases[2].on(81)
	plan := c.plan(lvs.TCP)
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: addrs(plan)}}
	withPlane(t, plan, func(b *bench) {
		ask := frame{dst: noMAC, src: noMAC, from: c.client, to: c.vip, proto: "tcp", flags: "S"}
		b.send(t, atLo, ask, pass) // not the master
		b.wantReason(t, "pass_passive", 1)
		b.renew(t, 1e12)
		for what, context := range map[string]skbContext{
			"forwarded by the stack": {Ifindex: 1, IngressIfindex: uint32(b.index)},
		} {
			got, out, err := runEgress(b, ask.bytes(), context)
			if got != pass || err != nil {
				t.Errorf("%s: %q, %v; want it to pass", what, got, err)
			}
			wantSame(t, what, ask.bytes(), out)
		}
		for what, f := range map[string]frame{
			"to a port without a service": edit(ask, func(f *frame) { f.to = "192.0.2.100:82" }),
			"to another address":          edit(ask, func(f *frame) { f.to = "192.0.2.1:80" }),
			"from the VIP to a client":    {dst: clientMAC, src: ourMAC, from: c.vip, to: "198.51.100.9:4000", proto: "tcp", flags: "SA"},
		} {
			for _, p := range []place{atLo, atEth0} {
				wantSame(t, what+" at "+p.name, f.bytes(), b.send(t, p, f, pass))
			}
		}
		b.wantService(t, plan, Counter{})
		b.send(t, atLo, ask, back)
		lie := edit(ask, func(f *frame) { f.dst, f.src = ourMAC, clientMAC })
		for _, p := range places {
			b.send(t, p, lie, pass)
		}
		b.wantService(t, plan, Counter{Conns: 1, Packets: 1, Bytes: 40})
	})
}

// NAT to another port of the director: a client's packets go up translated, and the
// answers leave as from the service, by the device and to the address that the
// client's come from.
func TestMasqueradeToTheDirectorItself(t *testing.T) {
	withPlane(t, lvs.Plan{}, func(b *bench) {
		port := 80
		for _, of := range []struct{ client, vip, server string }{
			{"198.51.100.9:4000", "192.0.2.100", "192.0.2.1"},
			{"[2001:db8:9::9]:4000", "2001:db8::100", "2001:db8::1"},
		} {
			for proto, protocol := range map[string]lvs.Protocol{"tcp": lvs.TCP, "udp": lvs.UDP} {
				for _, p := range places {
					port++
					b.subtest(t, fmt.Sprintf("%s %s %s", p.name, proto, of.vip), func(t *testing.T) {
						vs := virtual(protocol, addr(of.vip), lvs.RoundRobin, masqueraded(of.server, 8080))
						vs.Port = uint16(port)
						plan := planOf(vs)
						plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
						b.set(t, plan)
						vip, server := netip.AddrPortFrom(addr(of.vip), uint16(port)).String(), netip.AddrPortFrom(addr(of.server), 8080).String()
						ask := frame{dst: ourMAC, src: clientMAC, from: of.client, to: vip, proto: proto, flags: "S", payload: "odd"}
						wantSame(t, "to the server", edit(ask, func(f *frame) { f.to = server }).bytes(), b.send(t, p, ask, pass))
						answer := frame{dst: rs2MAC, src: ourMAC, from: server, to: of.client, proto: proto, flags: "SA", payload: "odd"}
						want := edit(answer, func(f *frame) { f.dst, f.from, f.ttl = clientMAC, vip, 63 })
						wantSame(t, "to the client", want.bytes(), b.send(t, atEth0, answer, pass))
						wantSame(t, "to the client, by another device", want.bytes(), b.send(t, atLo, answer, back))
						bytes := uint64(len(ask.bytes()) - 14)
						b.wantService(t, plan, Counter{Conns: 1, Packets: 1, Bytes: bytes, OutPackets: 2, OutBytes: 2 * bytes})
						b.goBy(t, aWeek)
						b.sweepUntil(t, 0)
					})
				}
			}
		}
	})
}

// A process that takes over goes on with the program that another build had loaded for the
// machine's own packets, and renews it when there is time.
func TestNextProcessRenewsTheTail(t *testing.T) {
	plan := ownCases[0].plan(lvs.TCP)
	withPlane(t, lvs.Plan{}, func(b *bench) {
		b.pretendAnotherBuild(t)
		b.set(t, plan)
		tailNow := func() ebpf.ProgramID {
			id, err := b.devices.LocalProgram()
			if err != nil || id == 0 {
				t.Fatalf("program %d, %v; want one", id, err)
			}
			return id
		}
		before := tailNow()
		ns := b.ns
		b.Close()
		*b = *openBench(t, b.pinDir, b.room())
		b.compareEvery = compareEvery / 40
		b.set(t, plan)
		if now := tailNow(); now != before {
			t.Errorf("program %d, want still %d", now, before)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go ns.Do(func() { ended <- b.Run(ctx) })
		nstest.WaitFor(t, "the program is another", func() bool { return tailNow() != before })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if drift := b.drifts(t); len(drift) != 0 {
			t.Errorf("taken for drift: %v", drift)
		}
	})
}
