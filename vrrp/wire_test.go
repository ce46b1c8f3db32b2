package vrrp

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The vectors of this file were made from the layouts by code of its own, in another
// language, that shares nothing with this package.
const (
	vector3      = "313364010064d603c0a81964"
	vector3Uni   = "313364010005dcacc0a81964"
	vector3Old   = "313364010005d662c0a81964"
	vector3Plain = "313364010064905ac0a81964"
	vector3IPv6  = "3133640200643dcd fe800000000000000000000000000100 20010db8000000000000000000000100"
	// Key 2 is the bytes 0 to 31; the time is 1700000000.5 s and the counter 7.
	vectorHMAC     = "313364010064d603c0a81964 010200006553f10080000007 4ca9741418a2d6fefea82da04fc8415b"
	vectorHMACIPv6 = "3133640100641c51fe800000000000000000000000000100 010200006553f10080000007 f4834fb04bf944afe2c408aa4411746f"
	vectorHMACPass = "2133640101013d5bc0a819643131313100000000 010200006553f10080000007 31a65104b2c0761e2a48ede8da0307fc"
	// The key is 1111, the sequence number 77.
	vectorAH    = "45c0004000090000ff3300e8c0a8191fe0000012 70040000c0a8191f0000004d147039f60084a2ba41cb96e6 2133640102019ebdc0a819640000000000000000"
	vectorAHUni = "45c00040000900004033c632c0a8191fc0a81920 70040000c0a8191f0000004d116c862b595197bc53b809b8 2133640102019ebdc0a819640000000000000000"

	testKey = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

var (
	ip31, ip32   = netip.MustParseAddr("192.168.25.31"), netip.MustParseAddr("192.168.25.32")
	fe31, fe32   = netip.MustParseAddr("fe80::31"), netip.MustParseAddr("fe80::32")
	signedAt     = uint64(1700000000)<<32 | 0x8000<<16 | 7
	testHMAC     = HMAC{Keys: []HMACKey{{2, testKey}}, Active: 2, Window: 5 * time.Second}
	advert3      = Advertisement{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, VIPs: addrs("192.168.25.100")}
	advert3Fast  = Advertisement{Version: 3, VRID: 51, Priority: 100, Interval: 50 * time.Millisecond, VIPs: addrs("192.168.25.100")}
	advert3IPv6  = Advertisement{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, VIPs: addrs("fe80::100")}
	advert3IPv62 = Advertisement{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, VIPs: addrs("fe80::100", "2001:db8::100")}
	advertPass   = Advertisement{Version: 2, VRID: 51, Priority: 100, Interval: time.Second, Auth: Password("1111"), VIPs: addrs("192.168.25.100")}
)

// ipv4 and ipv6 put a header with a correct checksum around a payload.
func ipv4Packet(from, to netip.Addr, payload []byte) []byte {
	b := ahPacket(payload, Authentication{}, from, to, TTL, 1, 0)
	b = append(b[:minIPv4], payload...)
	b[2], b[3], b[9] = 0, byte(len(b)), Protocol
	return finish(b)
}

func ipv6Packet(from, to netip.Addr, payload []byte) []byte {
	b := append([]byte{0x6c, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), Protocol, TTL}, from.AsSlice()...)
	return append(append(b, to.AsSlice()...), payload...)
}

// finish sets the checksum of an IPv4 header.
func finish(b []byte) []byte {
	b[10], b[11] = 0, 0
	sum := checksum(b[:minIPv4])
	b[10], b[11] = byte(sum>>8), byte(sum)
	return b
}

func mustWire(t testing.TB, cfg LinkConfig) *wire {
	t.Helper()
	w, err := newWire(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWire(t *testing.T) {
	peers := addrs("192.168.25.32")
	tests := []struct {
		name   string
		cfg    LinkConfig
		advert Advertisement
		to     netip.Addr
		want   string
	}{
		{"version 3", LinkConfig{}, advert3, Group4(), vector3},
		{"unicast", LinkConfig{UnicastPeers: peers}, advert3Fast, ip32, vector3Uni},
		{"old unicast checksum", LinkConfig{UnicastPeers: peers, OldChecksum: OldChecksumOn}, advert3Fast, ip32, vector3Old},
		{"old unicast checksum without peers", LinkConfig{OldChecksum: OldChecksumOn}, advert3, Group4(), vector3},
		{"without the pseudo header", LinkConfig{PlainChecksum: true}, advert3, Group4(), vector3Plain},
		{"IPv6", LinkConfig{Source: fe31}, advert3IPv62, Group6(), vector3IPv6},
		{"IPv6 has the pseudo header always", LinkConfig{Source: fe31, PlainChecksum: true}, advert3IPv62, Group6(), vector3IPv6},
		{"version 2", LinkConfig{}, advertPass, Group4(), capturedAdvert[40:]},
		{"signed", LinkConfig{HMAC: testHMAC}, advert3, Group4(), vectorHMAC},
		{"signed, IPv6", LinkConfig{Source: fe31, HMAC: testHMAC}, advert3IPv6, Group6(), vectorHMACIPv6},
		{"signed, version 2", LinkConfig{HMAC: testHMAC}, advertPass, Group4(), vectorHMACPass},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.cfg.Source.IsValid() {
				tt.cfg.Source = ip31
			}
			w := mustWire(t, tt.cfg)
			b, err := w.packet(tt.advert, tt.to, stamp{signed: signedAt})
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, tt.want)
			if diff := cmp.Diff(want, b); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			there := tt.cfg
			packet := ipv4Packet(tt.cfg.Source, tt.to, want)
			if there.Source = ip32; tt.cfg.Source.Is6() {
				there.Source, packet = fe32, ipv6Packet(tt.cfg.Source, tt.to, want)
			}
			if len(there.UnicastPeers) > 0 {
				there.UnicastPeers = []netip.Addr{tt.cfg.Source}
			}
			there.HMAC.Window = 0 // the vectors are old
			p := mustWire(t, there).receive(packet, peerMAC)
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			if diff := cmp.Diff(tt.advert, p.Advertisement, compareAddrs); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAH(t *testing.T) {
	advert := Advertisement{Version: 2, VRID: 51, Priority: 100, Interval: time.Second, Auth: Authentication{Type: AuthHeader}, VIPs: addrs("192.168.25.100")}
	for name, vector := range map[string]string{"multicast": vectorAH, "unicast": vectorAHUni} {
		t.Run(name, func(t *testing.T) {
			here := LinkConfig{Source: ip31, Auth: Key("1111"), UnicastTTL: 64}
			there := LinkConfig{Source: ip32, Auth: Key("1111")}
			to := Group4()
			if name == "unicast" {
				here.UnicastPeers, to = []netip.Addr{ip32}, ip32
				there.UnicastPeers = []netip.Addr{ip31}
			}
			b, err := mustWire(t, here).packet(advert, to, stamp{number: 77, id: 9})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(unhex(t, vector), finish(b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			w := mustWire(t, there)
			p := w.receive(b, peerMAC)
			if p.Err != nil || p.Advertisement.Auth.Type != AuthHeader || p.Advertisement.VRID != 51 {
				t.Fatalf("received %+v", p)
			}
			wantDrop(t, "again", w.receive(b, peerMAC), DropReplay)
			if n := w.stamp().number; n <= 77 {
				t.Errorf("a backup goes on with number %d", n)
			}
			there.Auth = Key("1112")
			wantDrop(t, "another key", mustWire(t, there).receive(b, peerMAC), DropAuthFailure)
			there.Auth = Password("1111")
			wantDrop(t, "PASS is expected", mustWire(t, there).receive(b, peerMAC), DropAuthType)
			there.Auth = Key("1111")
			plain := ipv4Packet(ip31, to, unhex(t, capturedAdvert[40:]))
			wantDrop(t, "no authentication header", mustWire(t, there).receive(plain, peerMAC), DropAuthType)
			for i := range b[minIPv4:] { // every byte counts, but for the reserved ones that the ICV covers, too
				changed := append([]byte(nil), b...)
				changed[minIPv4+i] ^= 1
				w := mustWire(t, there)
				if p := w.receive(changed, peerMAC); p.Err == nil || w.seq.last != 0 {
					t.Errorf("byte %d may be changed", i)
				}
			}
		})
	}
}

func wantDrop(t *testing.T, what string, p Packet, want Drop) {
	t.Helper()
	var drop *DropError
	if !errors.As(p.Err, &drop) || drop.Reason != want {
		t.Errorf("%s: got %v, want a drop for %s", what, p.Err, want)
	}
}

func TestHMAC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1700000002, 0)))
		packet := ipv4Packet(ip31, Group4(), unhex(t, vectorHMAC))
		cfg := LinkConfig{Source: ip32, HMAC: testHMAC}
		w := mustWire(t, cfg)
		if p := w.receive(packet, peerMAC); p.Err != nil {
			t.Fatal(p.Err)
		}
		wantDrop(t, "again", w.receive(packet, peerMAC), DropHMACReplay)
		unsigned := ipv4Packet(ip31, Group4(), unhex(t, vector3))
		wantDrop(t, "unsigned", w.receive(unsigned, peerMAC), DropHMACMissing)
		for i := range hmacLen + len(vector3)/2 {
			changed := append([]byte(nil), packet...)
			changed[minIPv4+i] ^= 1
			w := mustWire(t, cfg)
			if p := w.receive(changed, peerMAC); p.Err == nil || len(w.signer.senders) > 0 {
				t.Errorf("byte %d may be changed", i)
			}
		}
		forged := append([]byte(nil), packet...)
		forged[len(forged)-hmacLen+1] = 9
		wantDrop(t, "an unknown key", mustWire(t, cfg).receive(forged, peerMAC), DropHMACKey)
		forged[len(forged)-hmacLen] = 2
		wantDrop(t, "another kind", mustWire(t, cfg).receive(forged, peerMAC), DropHMACMalformed)

		for _, mode := range []HMACMode{HMACPermissive, HMACReceiveOnly} {
			cfg.HMAC.Mode = mode
			w := mustWire(t, cfg)
			if p := w.receive(unsigned, peerMAC); p.Err != nil {
				t.Errorf("%s: %v", mode, p.Err)
			}
			if b, err := w.packet(advert3, Group4(), w.stamp()); err != nil || (len(b) == len(vector3)/2) != (mode == HMACReceiveOnly) {
				t.Errorf("%s sends %x, %v", mode, b, err)
			}
		}
		cfg.HMAC.Mode = ""
		time.Sleep(4 * time.Second)
		wantDrop(t, "six seconds old", mustWire(t, cfg).receive(packet, peerMAC), DropHMACStale)
		cfg.HMAC.Window = 0
		if p := mustWire(t, cfg).receive(packet, peerMAC); p.Err != nil {
			t.Errorf("monotonic: %v", p.Err)
		}
		// The clock stands still: the counter grows.
		if a, b := w.stamp().signed, w.stamp().signed; b != a+1 {
			t.Errorf("times %x and %x", a, b)
		}
	})
}

func TestHMACSenders(t *testing.T) {
	w := mustWire(t, LinkConfig{Source: ip32, HMAC: testHMAC})
	at := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }
	for n := range byte(5) {
		w.signer.take(at(n), 9)
	}
	if len(w.signer.senders) != hmacSenders || !w.signer.take(at(0), 9) || w.signer.take(at(4), 9) || !w.signer.take(at(4), 10) {
		t.Errorf("senders %v", w.signer.senders)
	}
}

// A peer that sends the checksum of keepalived before 1.3.7 is answered in kind.
func TestOldChecksum(t *testing.T) {
	cfg := LinkConfig{Source: ip32, UnicastPeers: []netip.Addr{ip31}}
	old := ipv4Packet(ip31, ip32, unhex(t, vector3Old))
	w := mustWire(t, cfg)
	if p := w.receive(old, peerMAC); p.Err != nil || !w.old.Load() {
		t.Errorf("got %v, old %v", p.Err, w.old.Load())
	}
	stranger := cfg
	stranger.UnicastPeers = addrs("192.168.25.33")
	wantDrop(t, "of a stranger", mustWire(t, stranger).receive(old, peerMAC), DropChecksum)
	cfg.OldChecksum = OldChecksumNever
	wantDrop(t, "never", mustWire(t, cfg).receive(old, peerMAC), DropChecksum)
	wantDrop(t, "sent to the group", decode(ipv4Packet(ip31, Group4(), unhex(t, vector3Uni)), peerMAC), DropChecksum)
}

func TestNewWireRefuses(t *testing.T) {
	for name, h := range map[string]HMAC{
		"no active key": {Keys: []HMACKey{{1, testKey}}, Active: 2},
		"a short key":   {Keys: []HMACKey{{1, "short"}}, Active: 1},
		"no hex":        {Keys: []HMACKey{{1, "hex:xy"}}, Active: 1},
	} {
		if _, err := newWire(LinkConfig{Source: ip31, HMAC: h}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Version 3: the skew and what a backup waits follow the master's interval.
func TestTimes3(t *testing.T) {
	c := Config{Version: 3, Priority: 100, AdvertInterval: time.Second}
	if c.SkewTime() != 609375*time.Microsecond || c.MasterDownInterval() != 3609375*time.Microsecond {
		t.Errorf("skew %s, master down %s", c.SkewTime(), c.MasterDownInterval())
	}
	c.learnt = 50 * time.Millisecond
	if c.SkewTime() != 30468750 || c.MasterDownInterval() != 180468750 || c.Lease() != 3*time.Second {
		t.Errorf("learnt: skew %s, master down %s, lease %s", c.SkewTime(), c.MasterDownInterval(), c.Lease())
	}
}
