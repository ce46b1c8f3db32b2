package vrrp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/test/mutate"
)

var peerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 32}

// decode reads a packet as the seed's second director does.
func decode(b []byte, mac net.HardwareAddr) Packet {
	w, err := newWire(LinkConfig{VRID: 51, Source: netip.MustParseAddr("192.168.25.32")})
	if err != nil {
		panic(err)
	}
	return w.receive(b, mac)
}

func TestDecodePacket(t *testing.T) {
	p := decode(unhex(t, capturedAdvert), peerMAC)
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	if p.Source != netip.MustParseAddr("192.168.25.31") || p.TTL != 255 || !p.Multicast || p.MAC.String() != peerMAC.String() {
		t.Errorf("got source %s, TTL %d, multicast %v, MAC %s", p.Source, p.TTL, p.Multicast, p.MAC)
	}
	if p.Advertisement.VRID != 51 || p.Advertisement.Priority != 100 {
		t.Errorf("got VRID %d, priority %d, want 51 and 100", p.Advertisement.VRID, p.Advertisement.Priority)
	}
	padded := decode(append(unhex(t, capturedAdvert), make([]byte, 6)...), peerMAC)
	if padded.Err != nil {
		t.Errorf("padded to 46 bytes as Ethernet does: %v", padded.Err)
	}
}

// TestDecodePacketDrops changes single bytes of the captured packet.
func TestDecodePacketDrops(t *testing.T) {
	fixHeader := func(b []byte) {
		b[10], b[11] = 0, 0
		sum := checksum(b[:20])
		b[10], b[11] = byte(sum>>8), byte(sum)
	}
	tests := []struct {
		name   string
		change func(b []byte) []byte
		want   Drop
	}{
		{"no byte", func([]byte) []byte { return nil }, DropHeader},
		{"19 bytes", func(b []byte) []byte { return b[:19] }, DropHeader},
		{"IP version 6", func(b []byte) []byte { b[0] = 0x65; return b }, DropHeader},
		{"header of 16 bytes", func(b []byte) []byte { b[0] = 0x44; return b }, DropHeader},
		{"header longer than the packet", func(b []byte) []byte { b[0] = 0x4f; return b }, DropHeader},
		{"cut short", func(b []byte) []byte { return b[:39] }, DropHeader},
		{"total length below the header", func(b []byte) []byte { b[3] = 19; fixHeader(b); return b }, DropHeader},
		{"header checksum", func(b []byte) []byte { b[8] = 254; return b }, DropHeader},
		{"first fragment", func(b []byte) []byte { b[6] = 0x20; fixHeader(b); return b }, DropHeader},
		{"later fragment", func(b []byte) []byte { b[7] = 1; fixHeader(b); return b }, DropHeader},
		{"UDP", func(b []byte) []byte { b[9] = 17; fixHeader(b); return b }, DropHeader},
		{"total length without the advert", func(b []byte) []byte { b[3] = 20; fixHeader(b); return b }, DropLength},
		{"the advert itself", func(b []byte) []byte { b[39] = 1; return b }, DropChecksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := decode(tt.change(unhex(t, capturedAdvert)), peerMAC)
			var drop *DropError
			if !errors.As(p.Err, &drop) || drop.Reason != tt.want {
				t.Errorf("got %v, want a drop for %s", p.Err, tt.want)
			}
		})
	}
	dontFragment := unhex(t, capturedAdvert)
	dontFragment[6] = 0x40
	fixHeader(dontFragment)
	if p := decode(dontFragment, peerMAC); p.Err != nil {
		t.Errorf("a packet that must not be fragmented is no fragment: %v", p.Err)
	}
}

func FuzzDecodePacket(f *testing.F) { mutate.Fuzz(f, packetSeeds(f), checkPacket) }

func TestDecodePacketMutations(t *testing.T) {
	mutate.Test(t, "FuzzDecodePacket", packetSeeds(t), checkPacket)
}

func packetSeeds(t testing.TB) mutate.Seeds {
	return mutate.Of(unhex(t, capturedAdvert), []byte{0x4f}, ipv4Packet(ip31, Group4(), unhex(t, vector3)),
		ipv6Packet(fe31, Group6(), unhex(t, vector3IPv6)), unhex(t, vectorAH), ipv4Packet(ip31, Group4(), unhex(t, vectorHMAC)))
}

// checkPacket gives a packet to links of each kind. Most packets fail at a checksum or at a
// signature, so that the code behind them would not run: the same bytes are tried authentic,
// too.
func checkPacket(t *testing.T, b []byte) {
	for _, cfg := range []LinkConfig{
		{Source: ip32}, {Source: fe32}, {Source: ip32, Auth: Key("1111")}, {Source: ip32, HMAC: testHMAC},
		{Source: ip32, UnicastPeers: []netip.Addr{ip31}},
	} {
		w := mustWire(t, cfg)
		for _, packet := range [][]byte{b, authentic(b, w)} {
			if p := w.receive(packet, peerMAC); p.Err == nil && !p.Source.IsValid() {
				t.Errorf("%x: accepted without a source", packet)
			}
		}
	}
}

// authentic is a packet with the checksums, the ICV and the trailer that a link wants, where
// it is long enough for them.
func authentic(b []byte, w *wire) []byte {
	b = bytes.Clone(b)
	if len(b) < minIPv4 || b[0]>>4 != 4 {
		return b
	}
	header := max(int(b[0]&0xf)*4, minIPv4)
	b[0] = 0x40 | byte(header/4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	advert := b[min(header, len(b)):]
	if w.cfg.Auth.Type == AuthHeader && len(advert) >= ahLen {
		b[9], advert[0], advert[1] = protocolAH, Protocol, ahWords
		copy(advert[4:], b[12:16])
		setSum(advert[ahLen:], b)
		copy(advert[ahLen-icvLen:], icv(b, header, w.cfg.Auth))
	} else {
		if w.signer != nil && len(advert) >= headerLen+hmacLen {
			trailer := advert[len(advert)-hmacLen:]
			copy(trailer, []byte{hmacKind, testHMAC.Active, 0, 0})
			binary.BigEndian.PutUint64(trailer[4:], w.signer.next())
			copy(trailer[hmacLen-hmacTag:], tag(w.signer.keys[testHMAC.Active], advert[:len(advert)-hmacTag], netip.AddrFrom4([4]byte(b[12:16]))))
			advert = advert[:len(advert)-hmacLen]
		}
		setSum(advert, b)
	}
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], checksum(b[:min(header, len(b))]))
	return b
}

// Each kind of link takes what authentic makes for it.
func TestAuthentic(t *testing.T) {
	for _, tt := range []struct {
		cfg    LinkConfig
		packet []byte
	}{
		{LinkConfig{Source: ip32}, ipv4Packet(ip31, Group4(), unhex(t, vector3))},
		{LinkConfig{Source: ip32, Auth: Key("1111")}, unhex(t, vectorAH)},
		{LinkConfig{Source: ip32, HMAC: testHMAC}, ipv4Packet(ip31, Group4(), unhex(t, vectorHMAC))},
	} {
		tt.packet[10]++ // the header's checksum
		tt.packet[len(tt.packet)-1]++
		w := mustWire(t, tt.cfg)
		if p := w.receive(authentic(tt.packet, w), peerMAC); p.Err != nil || p.Advertisement.VRID != 51 {
			t.Errorf("%+v: %v", p.Advertisement, p.Err)
		}
	}
}

// setSum sets the checksum of the advert in an IPv4 packet.
func setSum(advert, packet []byte) {
	if len(advert) < headerLen {
		return
	}
	start := uint32(0)
	if advert[0]>>4 == Version3 {
		start = pseudoSum(netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20])), len(advert))
	}
	setChecksum(advert, start)
}

// testConfig is the seed's first director.
func testConfig() Config {
	return Config{
		Name: "VI_1", VRID: 51, Priority: 100, AdvertInterval: time.Second, Auth: Password("1111"),
		VIPs: addrs("192.168.25.100", "192.168.25.101"), Source: netip.MustParseAddr("192.168.25.31"),
	}
}

// testPacket is a valid advert of the seed's second director.
func testPacket(priority uint8) Packet {
	return Packet{
		Source: netip.MustParseAddr("192.168.25.32"), MAC: peerMAC, TTL: 255, Multicast: true,
		Advertisement: Advertisement{
			VRID: 51, Priority: priority, Interval: time.Second, Auth: Password("1111"),
			VIPs: addrs("192.168.25.100", "192.168.25.101"),
		},
	}
}

func TestCheck(t *testing.T) {
	unicast := func(c *Config) { c.UnicastPeers = addrs("192.168.25.32") }
	tests := []struct {
		name   string
		config func(*Config)
		packet func(*Packet)
		want   string // empty is valid
	}{
		{"valid", nil, nil, ""},
		{"another virtual router", nil, func(p *Packet) { p.Advertisement.VRID = 52 }, "vrid: VRID 52, expected 51"},
		{"another virtual router's mistakes", nil,
			func(p *Packet) { p.Advertisement.VRID = 52; p.TTL = 1 }, "vrid: VRID 52, expected 51"},
		{"forwarded by a router", nil, func(p *Packet) { p.TTL = 254 }, "ttl: TTL 254, expected 255"},
		{"unicast on a multicast instance", nil, func(p *Packet) { p.Multicast = false }, "destination: sent by unicast, expected multicast"},
		{"multicast on a unicast instance", unicast, nil, "destination: sent by multicast, expected unicast"},
		{"unicast over routers", unicast, func(p *Packet) { p.Multicast = false; p.TTL = 60 }, ""},
		{"unicast of a stranger", unicast,
			func(p *Packet) { p.Multicast = false; p.Source = netip.MustParseAddr("192.168.25.99") }, ""},
		{"unicast of a stranger, checked", func(c *Config) { unicast(c); c.CheckUnicastSource = true },
			func(p *Packet) { p.Multicast = false; p.Source = netip.MustParseAddr("192.168.25.99") }, "source: not a unicast peer"},
		{"no authentication", nil, func(p *Packet) { p.Advertisement.Auth = Authentication{} },
			"auth-type: authentication none, expected PASS"},
		{"AH", nil, func(p *Packet) { p.Advertisement.Auth.Type = AuthHeader }, "auth-type: authentication AH, expected PASS"},
		{"authentication where none is expected", func(c *Config) { c.Auth = Authentication{} }, nil,
			"auth-type: authentication PASS, expected none"},
		{"data without authentication is not looked at", func(c *Config) { c.Auth = Authentication{} },
			func(p *Packet) { p.Advertisement.Auth.Type = AuthNone }, ""},
		{"wrong password", nil, func(p *Packet) { p.Advertisement.Auth = Password("1112") }, "auth-failure: the password differs"},
		{"longer password", nil, func(p *Packet) { p.Advertisement.Auth = Password("11111") }, "auth-failure: the password differs"},
		{"another interval", nil, func(p *Packet) { p.Advertisement.Interval = 2 * time.Second },
			"interval: advertisement interval 2s, expected 1s"},
		{"VIPs in another order", nil,
			func(p *Packet) { p.Advertisement.VIPs = addrs("192.168.25.101", "192.168.25.100") }, ""},
		{"one VIP less", nil, func(p *Packet) { p.Advertisement.VIPs = addrs("192.168.25.100") },
			"vip-list: VIPs [192.168.25.100], expected [192.168.25.100 192.168.25.101]"},
		{"one VIP twice", nil, func(p *Packet) { p.Advertisement.VIPs = addrs("192.168.25.100", "192.168.25.100") },
			"vip-list: VIPs [192.168.25.100 192.168.25.100], expected [192.168.25.100 192.168.25.101]"},
		{"broken bytes", nil, func(p *Packet) { *p = Packet{Err: dropf(DropLength, "short")} }, "length: short"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, p := testConfig(), testPacket(90)
			if tt.config != nil {
				tt.config(&c)
			}
			if tt.packet != nil {
				tt.packet(&p)
			}
			got := ""
			if err := c.check(&p); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDropNames: each reason is counted under a name of its own.
func TestDropNames(t *testing.T) {
	byName := Drops{}.ByName()
	if len(byName) != int(numDrops) {
		t.Errorf("%d names for %d reasons: %v", len(byName), numDrops, byName)
	}
	counted := Drops{DropTTL: 2, DropVIPs: 1}.ByName()
	if counted["ttl"] != 2 || counted["vip-list"] != 1 || counted["checksum"] != 0 {
		t.Errorf("got %v", counted)
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"VRID", func(c *Config) { c.VRID = 0 }, `vrrp instance "VI_1": VRID 0: expected 1 to 255`},
		{"priority", func(c *Config) { c.Priority = 0 },
			`vrrp instance "VI_1": priority 0: expected 1 to 255; 0 is how a master says that it stops`},
		{"no interval", func(c *Config) { c.AdvertInterval = 0 }, `vrrp instance "VI_1": advertisement interval 0: expected at least 1s`},
		{"odd interval", func(c *Config) { c.AdvertInterval = 1500 * time.Millisecond },
			`vrrp instance "VI_1": advertisement interval 1.5s: version 2 carries whole seconds up to 255`},
		{"version", func(c *Config) { c.Version = 4 }, `vrrp instance "VI_1": version 4: expected 2 or 3`},
		{"authentication", func(c *Config) { c.Auth.Type = 3 }, `vrrp instance "VI_1": authentication type 3: expected none, PASS or AH`},
		{"authentication of version 3", func(c *Config) { c.Version = 3 }, `vrrp instance "VI_1": authentication PASS: version 3 has none`},
		{"interval of version 3", func(c *Config) { c.Version, c.Auth, c.AdvertInterval = 3, Authentication{}, 41*time.Second },
			`vrrp instance "VI_1": advertisement interval 41s: version 3 carries hundredths of a second up to 40.95 s`},
		{"source", func(c *Config) { c.Source = netip.Addr{} }, `vrrp instance "VI_1": source address invalid IP: expected an IPv4 address`},
		{"VIP", func(c *Config) { c.VIPs = addrs("fe80::1") }, `vrrp instance "VI_1": VIP fe80::1: expected an IPv4 address`},
		{"VIPs", func(c *Config) { c.VIPs = make([]netip.Addr, 256) }, `vrrp instance "VI_1": 256 VIPs: expected at most 255`},
		{"peer", func(c *Config) { c.UnicastPeers = addrs("224.0.0.18") },
			`vrrp instance "VI_1": unicast peer 224.0.0.18: expected an IPv4 address of one machine`},
		{"adverts", func(c *Config) { c.DownTimerAdverts = 101 }, `vrrp instance "VI_1": down timer adverts 101: expected 1 to 100`},
		{"delay", func(c *Config) { c.PreemptDelay = -1 }, `vrrp instance "VI_1": preempt delay -1ns, GARP delay 0s: expected no negative time`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig()
			tt.change(&c)
			if _, err := New(c, nil, nil, discard()); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	tests := []struct {
		priority    uint8
		interval    time.Duration
		adverts     int
		skew, down  time.Duration
		lease       time.Duration
		description string
	}{
		{100, time.Second, 0, 609375 * time.Microsecond, 3609375 * time.Microsecond, 3 * time.Second, "the seed's master"},
		{90, time.Second, 3, 648437500, 3648437500, 3 * time.Second, "the seed's backup"},
		{254, time.Second, 0, 7812500, 3007812500, 3 * time.Second, "the highest"},
		{1, time.Second, 0, 996093750, 3996093750, 3 * time.Second, "the lowest"},
		{100, 5 * time.Second, 2, 609375 * time.Microsecond, 10609375 * time.Microsecond, 10 * time.Second, "two slow adverts"},
	}
	for _, tt := range tests {
		t.Run(tt.description, func(t *testing.T) {
			c := Config{Priority: tt.priority, AdvertInterval: tt.interval, DownTimerAdverts: tt.adverts}
			if c.SkewTime() != tt.skew || c.MasterDownInterval() != tt.down || c.Lease() != tt.lease {
				t.Errorf("got skew %s, master down %s, lease %s, want %s, %s, %s",
					c.SkewTime(), c.MasterDownInterval(), c.Lease(), tt.skew, tt.down, tt.lease)
			}
		})
	}
}
