package vrrp

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var hostilePackets = flag.Int("hostile-packets", 100_000, "how many packets TestHostilePackets sends")

// TestHostilePackets: packets that fail validation, random ones and mutations of valid ones,
// change nothing at a live instance but its counters of drops.
func TestHostilePackets(t *testing.T) {
	peers := []netip.Addr{ip31}
	base := Config{Name: "VI_1", Version: 3, VRID: 51, Priority: 100, AdvertInterval: time.Second, VIPs: advert3.VIPs, Source: ip32}
	pass, ah, six, uni := base, base, base, base
	pass.Version, pass.Auth = 2, Password("1111")
	ah.Version, ah.Auth = 2, Key("1111")
	six.Source, six.VIPs = fe32, advert3IPv6.VIPs
	uni.UnicastPeers, uni.CheckUnicastSource = peers, true
	tests := []struct {
		name string
		cfg  Config
		link LinkConfig
	}{
		{"version 2, PASS", pass, LinkConfig{Source: ip32}},
		{"version 2, AH", ah, LinkConfig{Source: ip32, Auth: Key("1111")}},
		{"version 3", base, LinkConfig{Source: ip32}},
		{"version 3, unicast", uni, LinkConfig{Source: ip32, UnicastPeers: peers}},
		{"version 3, IPv6", six, LinkConfig{Source: fe32}},
		{"version 3, signed", base, LinkConfig{Source: ip32, HMAC: testHMAC}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(t, tt.cfg, tt.link)
				defer h.stop()
				h.send(t, uint64(i), *hostilePackets/len(tests)/2) // as backup
				time.Sleep(time.Hour)
				synctest.Wait()
				if s := h.Snapshot(); s.State != Master {
					t.Fatalf("it is %s", s.State)
				}
				h.send(t, uint64(i)+100, *hostilePackets/len(tests)/2)
			})
		})
	}
}

// hostile is an instance that hears what the test sends it.
type hostile struct {
	*Instance
	wire  *wire
	valid [][]byte // packets to change
	inbox chan Packet
	calls int // of the owner, and adverts
	stop  func()
}

func newHostile(t *testing.T, cfg Config, link LinkConfig) *hostile {
	h := &hostile{wire: mustWire(t, link), inbox: make(chan Packet, 1)}
	var err error
	if h.Instance, err = New(cfg, h, h, discard()); err != nil {
		t.Fatal(err)
	}
	other := link
	if other.Source = ip31; link.Source.Is6() {
		other.Source = fe31
	}
	to := link.group()
	if len(link.UnicastPeers) > 0 {
		other.UnicastPeers, to = []netip.Addr{ip32}, ip32
	}
	w := mustWire(t, other)
	advert := h.advert
	for _, priority := range []uint8{0, 50, 100, 200, 255} {
		advert.Priority = priority
		b, err := w.packet(advert, to, w.stamp())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case link.Auth.Type == AuthHeader:
			b = finish(b)
		case link.Source.Is6():
			b = ipv6Packet(fe31, to, b)
		default:
			b = ipv4Packet(ip31, to, b)
		}
		h.valid = append(h.valid, b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	h.stop = func() { cancel(); <-done }
	synctest.Wait()
	return h
}

func (h *hostile) Send(Advertisement) error           { h.calls++; return nil }
func (h *hostile) Received() <-chan Packet            { return h.inbox }
func (h *hostile) Enter(State, State)                 { h.calls++ }
func (h *hostile) Announce()                          { h.calls++ }
func (h *hostile) Sent(time.Time)                     { h.calls++ }
func (h *hostile) Heard(netip.Addr, net.HardwareAddr) { h.calls++ }

// memory is all that the protocol remembers from packet to packet.
type memory struct {
	seq      uint32
	old      bool
	senders  int
	deadline time.Time
	preempt  time.Time
	calls    int
}

func (h *hostile) memory() memory {
	m := memory{seq: h.wire.seq.last, old: h.wire.old.Load(), deadline: h.deadline, preempt: h.preemptFrom, calls: h.calls}
	if h.wire.signer != nil {
		m.senders = len(h.wire.signer.senders)
	}
	return m
}

// send has the instance hear n packets that fail validation. No time passes meanwhile.
func (h *hostile) send(t *testing.T, seed uint64, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	before, remembered := h.Snapshot(), h.memory()
	dropped := 0
	for range n {
		b := h.mutation(rng)
		// Whether it fails is asked of a wire of the same state, which the packet may change.
		trial := mustWire(t, h.wire.cfg)
		p := trial.receive(b, peerMAC)
		if p.destination.IsValid() && !trial.forUs(p) || h.cfg.check(&p) == nil {
			continue
		}
		if p.Err == nil && dropReason(h.cfg.check(&p)) == DropVIPs && p.Advertisement.Priority == PriorityOwner {
			continue // the owner of the addresses may have others
		}
		h.inbox <- h.wire.receive(b, peerMAC)
		dropped++
	}
	synctest.Wait()
	after := h.Snapshot()
	var counted uint64
	for i, c := range after.Counters.Drops {
		counted += c - before.Counters.Drops[i]
	}
	if counted != uint64(dropped) || dropped < n/2 {
		t.Errorf("of %d packets %d failed, and %d were counted", n, dropped, counted)
	}
	after.Counters.Drops = before.Counters.Drops
	if diff := cmp.Diff(before, after, compareAddrs, cmp.AllowUnexported(Config{})); diff != "" {
		t.Errorf("they changed the instance:\n%s", diff)
	}
	if got := h.memory(); got != remembered {
		t.Errorf("they changed what it remembers from\n%+v to\n%+v", remembered, got)
	}
}

// mutation is random bytes, or a valid packet of which some bytes are others, or some are
// missing. Half of them have correct checksums nonetheless.
func (h *hostile) mutation(rng *rand.Rand) []byte {
	if rng.IntN(10) == 0 {
		b := make([]byte, rng.IntN(100))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	b := append([]byte(nil), h.valid[rng.IntN(len(h.valid))]...)
	for range 1 + rng.IntN(4) {
		b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
	}
	if rng.IntN(5) == 0 {
		b = b[:rng.IntN(len(b))]
	}
	if rng.IntN(2) == 0 {
		h.repair(b)
	}
	return b
}

// repair sets the checksums.
func (h *hostile) repair(b []byte) {
	if len(b) > minIPv4 && b[0]>>4 == 4 {
		finish(b)
	}
	ip, err := parseIP(b)
	if err != nil || ip.length-ip.header < headerLen || ip.protocol != Protocol {
		return
	}
	advert := b[ip.header:ip.length]
	start := uint32(0)
	if advert[0]>>4 == Version3 {
		start = pseudoSum(ip.source, ip.destination, len(advert))
	}
	setChecksum(advert, start)
}
