package dataplane

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"weir/lvs"
)

// `make random` sends 10 million.
var (
	randomPackets = flag.Int("packets", 500_000, "how many packets TestRandomPackets sends, to XDP and to tc by turns")
	randomSeed    = flag.Uint64("seed", 0, "its seed; 0 is a new one")
)

// Whatever comes in, valid, cut or mutated, whole packets, fragments and ICMP errors,
// tagged or not: the verdict is a defined one, what passes is untouched, what is
// forwarded has the length that it had, and every counter stays within what was sent.
func TestRandomPackets(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	withPlaneOf(t, 4096, everythingPlan(), func(b *bench) {
		r := rand.New(rand.NewPCG(seed, 0))
		var sent, size uint64
		for i := range *randomPackets {
			in := randomFrame(r)
			at := places[i%len(places)]
			if len(in) < 14+40 { // the kernel makes no skb of it
				at = places[0]
			}
			got, out, err := at.run(b, in)
			if err != nil {
				t.Fatalf("packet %d: %v\n%s", i, err, dump(in))
			}
			if wrong := outOfRange(got, in, out); wrong != "" {
				t.Fatalf("packet %d at %s: %s: %s\nin:\n%sout:\n%s", i, at.name, got, wrong, dump(in), dump(out))
			}
			sent, size = sent+1, size+65535
			if i%100_000 == 0 {
				if err := b.conns.Sweep(false); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.wantCountersWithin(t, sent, size)
		b.sweepEach(t)
		b.sweepEach(t)
		b.wantDue(t)
	})
}

// outOfRange says what is wrong with a verdict, "" for nothing.
func outOfRange(v verdict, in, out []byte) string {
	switch v {
	case dropped: // a fragment that was waited for, too, in whose place those were sent
	case pass:
		if !bytes.Equal(in, out) {
			return "the packet was changed"
		}
	case back, other:
		if len(in) != len(out) {
			return "its length was changed"
		}
	case refused:
		if len(out) != len(in) && len(out) > 14+8+1280 { // ours, or one that is sent on
			return "the error is too long"
		}
	default:
		return "no such verdict"
	}
	return ""
}

// wantCountersWithin expects no counter to be more than what was sent, and none
// to have gone below 0.
func (b *bench) wantCountersWithin(t testing.TB, packets, size uint64) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, c Counter) {
		t.Helper()
		if c.Conns > packets || c.Packets > packets || c.OutPackets > packets || c.Bytes > size || c.OutBytes > size {
			t.Errorf("%s counts %+v of %d packets", what, c, packets)
		}
	}
	forwarded := uint64(0)
	for key, c := range stats.Services {
		check(key.String(), c.Counter)
		forwarded += c.Counter.Packets + c.Counter.OutPackets
	}
	for _, s := range stats.Servers {
		check(s.Server.AddrPort().String(), s.Counter)
		if s.Active < 0 || s.Inactive < 0 || s.Persistent < 0 || uint64(s.Active+s.Inactive) > packets {
			t.Errorf("%s: %d active, %d inactive, %d templates", s.Server.AddrPort(), s.Active, s.Inactive, s.Persistent)
		}
	}
	if forwarded == 0 || forwarded > packets {
		t.Errorf("%d of %d packets were forwarded", forwarded, packets)
	}
	for reason, n := range stats.Reasons {
		if n > packets {
			t.Errorf("%s is %d of %d packets", reason, n, packets)
		}
	}
	b.halfOpen(t)
	t.Logf("%d packets: %d forwarded, %v", packets, forwarded, stats.Reasons)
}

// everythingPlan has services of every kind.
func everythingPlan() lvs.Plan {
	v6 := func(n int) lvs.RealServer {
		s := real("192.0.2.11", 1)
		s.Addr = addr(fmt.Sprintf("2001:db8::1%d", n))
		return s
	}
	v6nat := v6(2)
	v6nat.Method = lvs.Masquerade
	udp := virtual(lvs.UDP, vip4, lvs.WeightedLeastConnection, real("192.0.2.11", 1), masqueraded("192.0.2.12", 8080))
	dns := virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.13", 1))
	dns.Port, dns.OnePacket = 53, true
	all := virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), masqueraded("192.0.2.12", 0))
	all.Port, all.Persistence.Timeout = 0, time.Minute
	none := virtual(lvs.TCP, vip4, lvs.SourceHash)
	none.Port = 443
	marked := lvs.VirtualServer{ServiceKey: lvs.MarkKey(7, false), Scheduler: lvs.LocalityReplicated,
		RealServers: []lvs.RealServer{real("192.0.2.11", 1), real("192.0.2.12", 2)}}
	plan := planOf(
		virtual(lvs.TCP, vip4, lvs.WeightedRoundRobin, real("192.0.2.11", 1), masqueraded("192.0.2.12", 8080)),
		udp, dns, all, none, marked,
		virtual(lvs.TCP, vip6, lvs.MaglevHash, v6(1), v6nat), virtual(lvs.UDP, vip6, lvs.NeverQueue, v6(1), v6nat))
	plan.Marks = []lvs.MarkRule{{Mark: 7, Destination: netip.MustParsePrefix("203.0.113.0/24")}}
	plan.Directors = append(plan.Directors, lvs.Director{MAC: mac(directorMAC)})
	return plan
}

// randomFrame is a frame that a network may carry, whole in half of the cases.
func randomFrame(r *rand.Rand) []byte {
	f := frame{dst: ourMAC, src: clientMAC, proto: "tcp", flags: "S"}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	if r.IntN(20) == 0 {
		f.src = directorMAC
	}
	if f.proto = pick("tcp", "tcp", "udp"); f.proto == "tcp" {
		f.flags = pick("S", "A", "AP", "FA", "R", "SA", "", "SR", "A", "A")
	}
	client, port := r.IntN(200), 1+r.IntN(60000)
	if r.IntN(3) > 0 { // one of few, so that connections are met again
		client, port = r.IntN(8), 4000+r.IntN(8)
	}
	f.from = fmt.Sprintf("198.51.100.%d:%d", client, port)
	f.to = pick("192.0.2.100:80", "192.0.2.100:80", "192.0.2.100:443", "192.0.2.100:53", "192.0.2.100:8081", "203.0.113.9:80", "192.0.2.1:22")
	answer := r.IntN(4) == 0
	if answer {
		f.from, f.to = pick("192.0.2.12:8080", "192.0.2.12:80", "192.0.2.12:443"), f.from
	}
	if r.IntN(3) == 0 {
		f.from, f.to = fmt.Sprintf("[2001:db8:9::%x]:%d", client, port), pick("[2001:db8::100]:80", "[2001:db8::100]:81", "[2001:db8::1]:80")
		if answer {
			f.from, f.to = "[2001:db8::12]:80", f.from
		}
	}
	f.ttl = []int{64, 64, 64, 1, 2, 255}[r.IntN(6)]
	if r.IntN(6) == 0 {
		f.options = 4 * r.IntN(8)
	}
	f.payload = string(make([]byte, r.IntN(1+r.IntN(1400))))
	if r.IntN(6) == 0 {
		f.tags = pick("8100:100", "8100:7 8100:8", "88a8:1 8100:2")
	}
	if r.IntN(6) == 0 {
		f.id, f.cut = r.IntN(64), 8*(1+r.IntN(60))
		if r.IntN(2) == 0 {
			f.at = 8 * r.IntN(1+len(f.payload)/8)
		}
	}
	if r.IntN(6) == 0 {
		return damaged(r, randomError(r, f).bytes())
	}
	return damaged(r, f.bytes())
}

// randomError is an ICMP error about what the other end of a frame's flow sends.
func randomError(r *rand.Rand, f frame) icmpError {
	from, to := netip.MustParseAddrPort(f.from).Addr(), netip.MustParseAddrPort(f.to).Addr()
	e := icmpError{dst: f.dst, src: f.src, tags: f.tags, from: from.String(), to: to.String(), about: f, ttl: byte(1 + r.IntN(64)), options: f.options}
	e.head = slices.Clone(errors4[r.IntN(len(errors4))])
	if from.Is6() {
		e.head = slices.Clone(errors6[r.IntN(len(errors6))])
	}
	if r.IntN(8) == 0 {
		e.head[0] = byte(r.Uint32())
	}
	e.about.tags, e.about.from, e.about.to = "", f.to, f.from
	if r.IntN(2) == 0 {
		e.about.at, e.about.cut, e.quoted = 0, 0, 8
	}
	return e
}

// damaged cuts or mutates half of the frames; the test run wants an Ethernet header.
func damaged(r *rand.Rand, b []byte) []byte {
	switch r.IntN(6) {
	case 0:
		return b[:14+r.IntN(len(b)-13)]
	case 1:
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	case 2: // in the headers
		for range 1 + r.IntN(3) {
			b[12+r.IntN(min(len(b), 60)-12)] ^= 1 << r.IntN(8)
		}
	}
	return b
}
