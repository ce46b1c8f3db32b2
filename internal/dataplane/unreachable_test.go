package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// withoutNextHop are servers to which no next hop is to be had, each for another reason, in
// the network of withPlane: there is no default route.
var withoutNextHop = []struct{ name, setup, ip4, ip6 string }{
	{"no route", "", "198.51.100.1", "2001:db8:1::1"},
	{"unreachable", "route add unreachable %s", "198.51.100.2", "2001:db8:1::2"},
	{"prohibit", "route add prohibit %s", "198.51.100.3", "2001:db8:1::3"},
	{"blackhole", "route add blackhole %s", "198.51.100.4", "2001:db8:1::4"},
	{"a neighbour that does not answer", "neigh add %s dev eth0 nud failed", "192.0.2.77", "2001:db8::77"},
}

// breakPaths makes them.
func (b *bench) breakPaths() {
	for _, c := range withoutNextHop {
		if c.setup != "" {
			b.ns.Batch(fmt.Sprintf(c.setup, c.ip4), fmt.Sprintf(c.setup, c.ip6))
		}
	}
}

// forgetErrors begins the limit of errors anew on all CPUs.
func (b *bench) forgetErrors(t *testing.T) {
	t.Helper()
	none := make([][]byte, ebpf.MustPossibleCPU())
	for i := range none {
		none[i] = make([]byte, b.maps.IcmpErrors.ValueSize())
	}
	if err := b.maps.IcmpErrors.Put(uint32(0), none); err != nil {
		t.Fatal(err)
	}
}

// noHost is "host unreachable", or ICMPv6's "address unreachable", about a frame.
func (f frame) noHost(ident []byte) []byte {
	return f.icmp(ident, []byte{3, 1, 0, 0, 0, 0, 0, 0}, []byte{1, 3, 0, 0, 0, 0, 0, 0})
}

// through is the plan of one TCP service at each VIP, whose server has this method.
func through(method lvs.ForwardMethod, ip4, ip6 string) lvs.Plan {
	rs4, rs6 := real(ip4, 1), real(ip6, 1)
	rs4.Method, rs6.Method = method, method
	return planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, rs4), virtual(lvs.TCP, vip6, lvs.RoundRobin, rs6))
}

// A client whose server has no next hop is told so, as by the kernel, with the first packet
// of its connection and with every later one. The connection keeps its entry.
func TestClientIsToldThatAServerIsUnreachable(t *testing.T) {
	syn6 := frame{dst: ourMAC, src: clientMAC, from: "[2001:db8:9::9]:4000", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		b.ns.Batch("addr add 192.0.2.100/32 dev eth0", "addr add 2001:db8::100/128 dev eth0 nodad")
		b.breakPaths()
		own4 := frame{dst: noMAC, src: noMAC, from: "192.0.2.100:4000", to: "192.0.2.100:80", proto: "tcp", flags: "S"}
		own6 := frame{dst: noMAC, src: noMAC, from: "[2001:db8::100]:4000", to: "[2001:db8::100]:80", proto: "tcp", flags: "S"}
		for _, c := range withoutNextHop {
			for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Masquerade, lvs.Tunnel} {
				b.subtest(t, fmt.Sprintf("%s, %v", c.name, method), func(t *testing.T) {
					plan := through(method, c.ip4, c.ip6)
					plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
					b.set(t, plan)
					b.forgetErrors(t)
					for _, p := range append([]place{atLo}, places...) {
						for _, f := range map[bool][]frame{true: {own4, own6}, false: {syn(4000), syn6}}[p.name == atLo.name] {
							long := f.with("A")
							for long.payload = "odd"; len(long.payload) < 1500; { // more than the device's MTU
								long.payload += long.payload
							}
							for _, f := range []frame{f, f, f.with("A"), long, f.with("FA"), f.with("S")} {
								out := b.send(t, p, f, refused)
								if diff := cmp.Diff(dump(f.noHost(out[18:20])), dump(out)); diff != "" {
									t.Errorf("%s: %s from %s: (-want +got)\n%s", p.name, f.flags, f.from, diff)
								}
							}
						}
					}
					if n := b.connections(t); n == 0 {
						t.Error("the connections have no entries")
					}
					b.goBy(t, aWeek)
					b.sweepUntil(t, 0)
				})
			}
		}
	})
}

// Nobody is told by an error about an error, nor about a later fragment: those are dropped.
func TestNoErrorAboutWhatGetsNone(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, lvs.Plan{}, func(b *bench) {
				b.breakPaths()
				plan := through(lvs.DirectRoute, "198.51.100.2", "2001:db8:1::2")
				plan.Services[0].Protocol = lvs.UDP
				b.set(t, plan)
				whole := syn(1)
				whole.proto, whole.payload, whole.mayCut = "udp", "0123456789abcdef", true
				b.send(t, p, whole, refused)
				b.wantServer(t, "198.51.100.2", Counter{Conns: 1, Packets: 1, Bytes: 44})
				first := edit(whole, func(f *frame) { f.cut = 16 })
				later := edit(whole, func(f *frame) { f.at = 16 })
				b.send(t, p, first, refused)
				b.send(t, p, later, dropped)
				answer := frame{dst: clientMAC, src: ourMAC, from: whole.to, to: whole.from, proto: "udp", payload: "x"}
				about := answer.unreachable([]byte{0, 1})
				if got, _, err := p.run(b, about); err != nil || got != dropped {
					t.Errorf("an error about the connection: %q, %v, want %q", got, err, dropped)
				}
			})
		})
	}
}

// A server whose neighbour is still looked for is not called unreachable: its clients' packets
// are dropped, and they send again.
func TestUnknownNeighbourIsNotUnreachable(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			withPlane(t, through(lvs.DirectRoute, "192.0.2.78", "2001:db8::78"), func(b *bench) {
				b.send(t, p, syn(1), dropped)
				b.wantReason(t, "drop_no_next_hop", 1)
				b.wantReason(t, "note_icmp_sent", 0)
			})
		})
	}
}

// Run follows what becomes of a server's neighbour and of its route.
func TestUnreachableServersAreFollowed(t *testing.T) {
	for _, addr := range []string{"192.0.2.50", "2001:db8::50"} {
		t.Run(addr, func(t *testing.T) {
			ns, far := nstest.New(t, nsName(t)), nstest.New(t, nsName(t)+"x")
			nstest.Veth(ns, "eth0", far, "eth0")
			ns.Batch("link set eth0 address "+ourMAC, "addr add 192.0.2.1/24 dev eth0", "addr add 2001:db8::1/64 dev eth0 nodad")
			for _, family := range []string{"ipv4", "ipv6"} { // the kernel gives up after three probes
				ns.Do(func() {
					if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/eth0/retrans_time_ms", []byte("100"), 0); err != nil {
						t.Fatal(err)
					}
				})
			}
			onNetwork(t, ns, nsName(t), 1<<12, func(b *bench) {
				b.set(t, through(lvs.DirectRoute, "192.0.2.50", "2001:db8::50"))
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go b.ns.Do(func() { ended <- b.Run(ctx) })
				defer func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}()
				server := netip.MustParseAddr(addr)
				prefix := netip.PrefixFrom(server, map[bool]int{true: 24, false: 64}[server.Is4()]).String()
				for _, step := range []struct {
					what    string
					machine *nstest.Namespace
					change  string
					want    abi.BpfServerFlags
				}{
					{"it does not answer", nil, "", abi.BpfServerFlagsSERVER_UNREACHABLE},
					{"it answers", far, "addr add " + prefix + " dev eth0 nodad", abi.BpfServerFlagsSERVER_RESOLVED},
					{"its route is unreachable", ns, "route add unreachable " + addr, abi.BpfServerFlagsSERVER_UNREACHABLE},
					{"it has its route again", ns, "route del unreachable " + addr, abi.BpfServerFlagsSERVER_RESOLVED},
					{"it answers no more", far, "addr del " + prefix + " dev eth0", abi.BpfServerFlagsSERVER_UNREACHABLE},
				} {
					if step.machine != nil {
						step.machine.Batch(step.change)
					}
					if step.machine == far && step.want == abi.BpfServerFlagsSERVER_UNREACHABLE { // the kernel asks again
						ns.Batch("neigh change " + addr + " dev eth0 nud probe")
					}
					nstest.WaitFor(t, step.what, func() bool {
						const both = abi.BpfServerFlagsSERVER_UNREACHABLE | abi.BpfServerFlagsSERVER_RESOLVED
						for _, s := range written[uint32, abi.BpfServer](b.maps.Servers) {
							if s.Addr.Netip() == server {
								return s.Flags&both == step.want
							}
						}
						return false
					})
				}
			})
		})
	}
}
