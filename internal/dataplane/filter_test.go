package dataplane

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// filtered says of which kinds of address the filter has packets looked at.
func (b *bench) filtered(t testing.TB, addrs ...string) (kinds string) {
	t.Helper()
	f := entry[abi.BpfAddrFilter](b.maps.AddrFilter, uint32(0))
	for _, s := range addrs {
		not := f.Flags[abi.AddrSlot(abi.AddrOf(addr(s)))]
		if not&abi.AddrNotVirtual == 0 {
			kinds += "virtual "
		}
		if not&abi.AddrNotNat == 0 {
			kinds += "nat "
		}
	}
	if f.Flags[0]&abi.AddrNoMarks == 0 {
		kinds += "marks "
	}
	return kinds
}

// The filter has the addresses of services and of servers behind NAT, also of those that
// were removed or are behind NAT no more, while connections refer to them.
func TestFilterFollowsTheState(t *testing.T) {
	nat := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, masqueraded("192.0.2.11", 8080)))
	direct := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	marked := planOf(lvs.VirtualServer{ServiceKey: lvs.MarkKey(7, false), Scheduler: lvs.RoundRobin,
		RealServers: []lvs.RealServer{real("192.0.2.12", 1)}})
	marked.Marks = []lvs.MarkRule{{Mark: 7, Destination: netip.MustParsePrefix("203.0.113.0/24")}}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		want := func(when, kinds string) {
			t.Helper()
			if got := b.filtered(t, "192.0.2.100", "192.0.2.11"); got != kinds {
				t.Errorf("%s: the filter has %q, want %q", when, got, kinds)
			}
		}
		want("at first", "")
		b.set(t, direct)
		want("by direct routing", "virtual ")
		b.set(t, nat)
		want("behind NAT", "virtual nat ")
		b.send(t, places[0], syn(1), back)
		b.set(t, direct)
		want("behind NAT no more", "virtual nat ")
		b.set(t, lvs.Plan{})
		b.sweepEach(t)
		want("removed, with a connection", "virtual nat ")
		b.reopen(t)
		want("removed, after a restart", "virtual nat ")
		b.goBy(t, ticks(time.Hour))
		b.sweepEach(t)
		b.sweepEach(t)
		want("the connection has expired", "")
		b.set(t, marked)
		want("a service by mark", "marks ")
		f := syn(1)
		f.to = "203.0.113.9:80"
		b.send(t, places[0], f, back)
		b.set(t, lvs.Plan{})
		b.reopen(t)
		want("removed by mark, after a restart", "marks ")
		b.goBy(t, ticks(time.Hour))
		b.sweepEach(t)
		b.sweepEach(t)
		b.reopen(t)
		want("its connection has expired", "")
	})
}

// Tables that a version without the filter left may have connections of servers that are
// behind NAT no more.
func TestFilterOverTablesWithoutOne(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		if got := b.filtered(t, "192.0.2.11"); got != "" {
			t.Errorf("the filter has %q of a server by direct routing", got)
		}
		for range 2 { // it is noted for the process after the next, too
			if err := b.maps.AddrFilter.Put(uint32(0), abi.BpfAddrFilter{}); err != nil {
				t.Fatal(err)
			}
			b.reopen(t)
			if got := b.filtered(t, "192.0.2.100", "192.0.2.11"); got != "virtual nat " {
				t.Errorf("the filter has %q, want the service and the server", got)
			}
		}
		b.reopen(t)
		if got := b.filtered(t, "192.0.2.100", "192.0.2.11"); got != "virtual nat " {
			t.Errorf("after one more start the filter has %q, want the service and the server", got)
		}
	})
}

// reopen has another process take the tables up.
func (b *bench) reopen(t testing.TB) {
	t.Helper()
	next, err := Open(Options{PinDir: b.pinDir, Connections: 1 << 15, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Plane.Close(); err != nil {
		t.Fatal(err)
	}
	b.Plane = next
}

// Whatever the services, their edits and the packets: with the filter every packet has
// the verdict and the bytes that it has where every packet is looked up in the tables.
func TestFilterStopsNoPacketOfAService(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	withPlane(t, lvs.Plan{}, func(b *bench) {
		all := openBench(t, b.pinDir+"all", 1<<15) // looks up every packet
		all.ns = b.ns
		defer func() {
			if err := all.Remove(); err != nil {
				t.Error(err)
			}
		}()
		both := []*bench{b, all}
		for _, b := range both {
			if err := b.maps.Tails.Put(uint32(0), uint32(b.program(t, abi.BpfProgWeirLocalOut).FD())); err != nil {
				t.Fatal(err)
			}
		}
		ends := append([]place{atLo, atEth0, {"behind", func(b *bench, in []byte) (verdict, []byte, error) { return runSKB(b, b.behind(), in) }}}, places...)
		verdicts := map[verdict]int{}
		for step := range 60 {
			state, id := randomState(r), 0
			if r.IntN(2) == 0 {
				id = 1 + 8*step // fragments in every other step
			}
			between(t, r.IntN(8), state, both)
			for i := range 150 {
				at, in := ends[r.IntN(len(ends))], anyFrame(r, id)
				if len(in) < 14+40 { // the kernel makes no skb of it
					at = places[0]
				}
				if err := all.maps.AddrFilter.Put(uint32(0), open(t, b, &at, in, id > 0)); err != nil {
					t.Fatal(err)
				}
				got, out, err := at.run(b, in)
				want, wantOut, err2 := at.run(all, in)
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				verdicts[want]++
				if want == refused || want == dropped { // errors are limited by time
					got, want, out, wantOut = allRefused(got), dropped, nil, nil
				}
				if got != want || !bytes.Equal(withoutID(out), withoutID(wantOut)) {
					t.Fatalf("step %d, packet %d at %s: %q with the filter, %q without\nin:\n%s\nwith:\n%s\nwithout:\n%s\nstate: %+v",
						step, i, at.name, got, want, dump(in), dump(out), dump(wantOut), state)
				}
			}
			if a, b := counts(t, b), counts(t, all); !cmp.Equal(a, b) {
				t.Fatalf("step %d: the counters differ, - with the filter, + without\n%s", step, cmp.Diff(a, b))
			}
		}
		t.Logf("%v", verdicts)
		for _, v := range []verdict{pass, dropped, back} {
			if verdicts[v] < 100 {
				t.Errorf("only %d packets had the verdict %q", verdicts[v], v)
			}
		}
	})
}

// between sets the next state, and does what else may happen between packets.
func between(t testing.TB, what int, state lvs.Plan, both []*bench) {
	t.Helper()
	for _, b := range both {
		b.set(t, state)
		switch what {
		case 0:
			b.goBy(t, ticks(time.Hour))
			b.sweepEach(t)
		case 1, 2:
			b.sweepEach(t)
		case 3:
			b.reopen(t)
		}
	}
}

// open is a filter by which a packet is looked up in the tables. Fragments wait for their
// first by the addresses alone, which stay b's; it is then the services by mark that let
// no packet pass. At egress, what has none of the fixtures' addresses is not looked up:
// a virtual source is that of a local node's own answers. What has a mark's destination
// is looked up by its mark; it comes to another place instead.
func open(t testing.TB, b *bench, at *place, in []byte, fragments bool) (f abi.BpfAddrFilter) {
	t.Helper()
	if at.name == atLo.name || at.name == atEth0.name {
		from, to := endsOf(in)
		switch {
		case to == addr("203.0.113.9"):
			*at = places[0]
		case slices.Contains([]netip.Addr{vip4, vip6, otherVIP}, to) || slices.Contains(natServers, from):
			return f
		default:
			f = entry[abi.BpfAddrFilter](b.maps.AddrFilter, uint32(0))
			for i := range f.Flags {
				f.Flags[i] |= abi.AddrNotVirtual | abi.AddrNotNat
			}
			return f
		}
	}
	if fragments {
		f = entry[abi.BpfAddrFilter](b.maps.AddrFilter, uint32(0))
		for i := range f.Flags {
			f.Flags[i] &^= abi.AddrNoMarks
		}
	}
	return f
}

// natServers are the servers of randomState.
var natServers = []netip.Addr{addr("192.0.2.11"), addr("192.0.2.12"), addr("192.0.2.1"), addr("2001:db8::11"), addr("2001:db8::12"), addr("2001:db8::1")}

// endsOf are the addresses in a frame's IP header.
func endsOf(frame []byte) (from, to netip.Addr) {
	if len(frame) < 14+40 || frame[12] != 0x86 && frame[12] != 8 {
		return from, to
	}
	ip := frame[14:]
	if frame[12] == 8 {
		from, _ = netip.AddrFromSlice(ip[12:16])
		to, _ = netip.AddrFromSlice(ip[16:20])
		return from, to
	}
	from, _ = netip.AddrFromSlice(ip[8:24])
	to, _ = netip.AddrFromSlice(ip[24:40])
	return from, to
}

// withoutID is a frame without the identification of a tunnel's outer IPv4 header, which
// is a random one, and its checksum.
func withoutID(frame []byte) []byte {
	const protocol, ipip, ipv6 = 14 + 9, 4, 41
	if len(frame) < 34 || frame[12] != 8 || frame[protocol] != ipip && frame[protocol] != ipv6 {
		return frame
	}
	b := slices.Clone(frame)
	clear(b[18:20])
	clear(b[24:26])
	return b
}

// allRefused is a refused packet as a dropped one, which it is where errors are many.
func allRefused(v verdict) verdict {
	if v == refused {
		return dropped
	}
	return v
}

// counts are the counters of all services and servers, in order.
func counts(t testing.TB, b *bench) (all []string) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for key, s := range stats.Services {
		all = append(all, fmt.Sprintf("%s %+v", key, s.Counter))
	}
	for _, s := range stats.Servers {
		all = append(all, fmt.Sprintf("%s %s %+v %d %d %d", s.Service, s.Server.AddrPort(), s.Counter, s.Active, s.Inactive, s.Persistent))
	}
	slices.Sort(all)
	return all
}

// randomState has some services of every kind, or none.
func randomState(r *rand.Rand) lvs.Plan {
	var plan lvs.Plan
	method := func(a string, port uint16) lvs.RealServer {
		s := real(a, 1+r.IntN(3))
		switch r.IntN(4) {
		case 0, 1:
			s.Method, s.Port = lvs.Masquerade, port
		case 2:
			s.Method = lvs.Tunnel
		}
		return s
	}
	servers := func(of ...string) (list []lvs.RealServer) {
		for _, a := range of {
			if r.IntN(4) > 0 {
				list = append(list, method(a, 8080))
			}
		}
		return list
	}
	schedulers := []lvs.Scheduler{lvs.RoundRobin, lvs.WeightedRoundRobin, lvs.WeightedLeastConnection, lvs.SourceHash, lvs.MaglevHash, lvs.Locality}
	add := func(key lvs.ServiceKey, of ...string) {
		if r.IntN(4) == 0 {
			return
		}
		vs := lvs.VirtualServer{ServiceKey: key, Scheduler: schedulers[r.IntN(len(schedulers))], RealServers: servers(of...)}
		vs.Rules.ExpireNoDest = r.IntN(4) == 0
		plan.Services = append(plan.Services, vs)
	}
	four, six := []string{"192.0.2.11", "192.0.2.12", "192.0.2.1"}, []string{"2001:db8::11", "2001:db8::12", "2001:db8::1"}
	add(lvs.ServiceKey{Protocol: lvs.TCP, Addr: vip4, Port: 80}, four...)
	add(lvs.ServiceKey{Protocol: lvs.UDP, Addr: vip4, Port: 80}, four...)
	add(lvs.ServiceKey{Protocol: lvs.TCP, Addr: otherVIP, Port: 80}, four[:2]...)
	add(lvs.ServiceKey{Protocol: lvs.TCP, Addr: vip6, Port: 80}, six...)
	add(lvs.ServiceKey{Protocol: lvs.UDP, Addr: vip6, Port: 80}, six...)
	if r.IntN(4) == 0 {
		plan.Marks = []lvs.MarkRule{{Mark: 7, Destination: netip.MustParsePrefix("203.0.113.0/24")}}
		add(lvs.MarkKey(7, false), four[:2]...)
	}
	if r.IntN(2) == 0 {
		plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	}
	return plan
}

// anyFrame is a frame between any two ends that a director may see packets of, whole or
// cut, or an ICMP error about one; or, with identifications from id on, a fragment of one.
func anyFrame(r *rand.Rand, id int) []byte {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	f := frame{dst: ourMAC, src: pick(clientMAC, rs1MAC, rs2MAC, directorMAC), proto: pick("tcp", "tcp", "udp"), flags: pick("S", "A", "A", "FA", "R", "SA")}
	clients := []string{"198.51.100.8:4000", "198.51.100.9:4001", "192.0.2.1:4000", "192.0.2.100:4000"}
	vips := []string{"192.0.2.100:80", "192.0.2.100:80", "192.0.2.101:80", "203.0.113.9:80"}
	servers := []string{"192.0.2.11:8080", "192.0.2.12:8080", "192.0.2.1:8080", "192.0.2.100:80"}
	if r.IntN(2) == 0 {
		clients = []string{"[2001:db8:9::8]:4000", "[2001:db8:9::9]:4001", "[2001:db8::1]:4000", "[2001:db8::100]:4000"}
		vips = []string{"[2001:db8::100]:80"}
		servers = []string{"[2001:db8::11]:8080", "[2001:db8::12]:8080", "[2001:db8::1]:8080", "[2001:db8::100]:80"}
	}
	switch r.IntN(5) {
	case 0, 1:
		f.from, f.to = pick(clients...), pick(vips...)
	case 2, 3:
		f.from, f.to = pick(servers...), pick(clients...)
	default:
		ends := slices.Concat(clients, vips, servers)
		f.from, f.to = pick(ends...), pick(ends...)
	}
	switch r.IntN(12) {
	case 0:
		whole := f.bytes()
		return whole[:14+r.IntN(len(whole)-14)]
	case 1, 2:
		return randomError(r, f).bytes()
	case 3:
		f.tags = "8100:100"
	case 4, 5:
		if id > 0 {
			f.payload, f.id, f.cut = string(make([]byte, 80)), id+r.IntN(8), 40
			f.at = 40 * r.IntN(2)
		}
	}
	return f.bytes()
}
