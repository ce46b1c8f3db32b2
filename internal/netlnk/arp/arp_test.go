package arp_test

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/nstest"
	"weir/test/mutate"
)

// gratuitous is the packet of RFC 826, field by field: Ethernet, IPv4, their lengths,
// request, sender MAC and IP, target MAC and IP.
const gratuitous = "0001" + "0800" + "06" + "04" + "0001" + "5254001fAA03" + "c0a81964" + "ffffffffffff" + "c0a81964"

var (
	mac = net.HardwareAddr{0x52, 0x54, 0x00, 0x1f, 0xaa, 0x03}
	vip = netip.MustParseAddr("192.168.25.100")
)

func TestGratuitousOnTheWire(t *testing.T) {
	got, err := arp.Gratuitous(mac, vip).MarshalBinary()
	if want, _ := hex.DecodeString(gratuitous); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
}

func TestMarshalBinaryErrors(t *testing.T) {
	good := arp.Gratuitous(mac, vip)
	tests := []struct {
		name  string
		spoil func(*arp.Packet)
		want  string
	}{
		{"short sender MAC", func(p *arp.Packet) { p.SenderMAC = mac[:5] }, "6 bytes"},
		{"no target MAC", func(p *arp.Packet) { p.TargetMAC = nil }, "6 bytes"},
		{"IPv6 target", func(p *arp.Packet) { p.TargetIP = netip.IPv6Loopback() }, "IPv4"},
		{"no sender address", func(p *arp.Packet) { p.SenderIP = netip.Addr{} }, "IPv4"},
	}
	for _, tt := range tests {
		p := good
		tt.spoil(&p)
		if b, err := p.MarshalBinary(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %x, %v, want an error with %q", tt.name, b, err, tt.want)
		}
	}
}

func TestUnmarshalBinaryErrors(t *testing.T) {
	good, _ := hex.DecodeString(gratuitous)
	tests := []struct {
		name  string
		spoil func(b []byte) []byte
		want  string
	}{
		{"empty", func([]byte) []byte { return nil }, "0 bytes, expected 28"},
		{"one byte short", func(b []byte) []byte { return b[:27] }, "27 bytes, expected 28"},
		{"not Ethernet", func(b []byte) []byte { b[1] = 6; return b }, "hardware type 6"},
		{"8-byte MACs", func(b []byte) []byte { b[4] = 8; return b }, "8-byte"},
		{"not IPv4", func(b []byte) []byte { b[2], b[3] = 0x86, 0xdd; return b }, "0x86dd"},
		{"16-byte addresses", func(b []byte) []byte { b[5] = 16; return b }, "16-byte"},
	}
	for _, tt := range tests {
		var p arp.Packet
		err := p.UnmarshalBinary(tt.spoil(bytes.Clone(good)))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !reflect.DeepEqual(p, arp.Packet{}) {
			t.Errorf("%s: %+v, %v, want an error with %q and nothing read", tt.name, p, err, tt.want)
		}
	}
}

// A packet that was read is written and read again as the same packet.
func FuzzPacket(f *testing.F) { mutate.Fuzz(f, packetSeeds(), checkPacket) }

func TestPacketMutations(t *testing.T) { mutate.Test(t, "FuzzPacket", packetSeeds(), checkPacket) }

func packetSeeds() mutate.Seeds {
	good, _ := hex.DecodeString(gratuitous)
	padded := append(bytes.Clone(good), make([]byte, 18)...) // to 60 bytes
	return mutate.Of(good, padded, good[:20])
}

func checkPacket(t *testing.T, b []byte) {
	var first, second arp.Packet
	if first.UnmarshalBinary(b) != nil {
		return
	}
	out, err := first.MarshalBinary()
	if err != nil || !bytes.Equal(out, b[:arp.Size]) {
		t.Fatalf("marshal %+v: %x, %v, want %x", first, out, err, b[:arp.Size])
	}
	if err := second.UnmarshalBinary(out); err != nil || !reflect.DeepEqual(first, second) {
		t.Fatalf("parsed again: %+v, %v, want %+v", second, err, first)
	}
}

// The neighbour receives exactly this frame, and learns the VIP's new MAC address.
func TestAnnounce(t *testing.T) {
	near, far := nstest.New(t, "near"), nstest.New(t, "far")
	nstest.Veth(near, "ens160", far, "ens160")
	near.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
	far.IP("address", "add", "192.168.25.32/24", "dev", "ens160")
	far.IP("neighbour", "add", vip.String(), "lladdr", "02:00:00:00:00:01", "dev", "ens160", "nud", "stale")
	var nearMAC net.HardwareAddr
	far.Do(func() {
		c := listen(t, "ens160")
		defer c.Close()
		near.Do(func() {
			nstest.WaitFor(t, "carrier", func() bool { l, err := netlnk.LinkByName("ens160"); nearMAC = l.MAC; return err == nil && l.Up })
			announce(t, "ens160")
		})
		want, _ := arp.Gratuitous(nearMAC, vip).MarshalBinary()
		header := append(append(bytes.Repeat([]byte{0xff}, 6), nearMAC...), 0x08, 0x06)
		expectFrame(t, c, append(header, want...))
	})
	nstest.WaitFor(t, "the neighbour learns the new MAC", func() bool {
		return strings.Contains(far.IP("neighbour", "show", vip.String()), nearMAC.String())
	})
}

// announce sends one gratuitous ARP for the VIP from the device.
func announce(t *testing.T, dev string) {
	t.Helper()
	s, err := netlnk.OpenSender(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := arp.Frame(s.Link, vip)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Send([]netlnk.Frame{f}); n != 1 || err != nil {
		t.Fatalf("sent %d, %v", n, err)
	}
}

func TestFrameErrors(t *testing.T) {
	for want, vip := range map[string]netip.Addr{"IPv4": netip.IPv6Loopback(), "6 bytes": vip} {
		if _, err := arp.Frame(netlnk.Link{Name: "lo"}, vip); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Frame of %s = %v, want an error that says %q", vip, err, want)
		}
	}
}

func listen(t *testing.T, dev string) *packet.Conn {
	t.Helper()
	l, err := netlnk.LinkByName(dev)
	if err != nil {
		t.Fatal(err)
	}
	c, err := packet.Listen(&net.Interface{Index: l.Index}, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// expectFrame reads ARP frames until one equals want.
func expectFrame(t *testing.T, c *packet.Conn, want []byte) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatalf("waiting for %x: %v", want, err)
		}
		if bytes.Equal(buf[:n], want) {
			return
		}
	}
}

// A machine that has an address answers a probe for it, and Listen hears that.
func TestAsk(t *testing.T) {
	here, there := nstest.New(t, "arp-asks"), nstest.New(t, "arp-has")
	nstest.Veth(here, "eth0", there, "eth0")
	there.IP("addr", "add", "192.168.25.100/24", "dev", "eth0")
	heard := make(chan arp.Claim, 16)
	go here.Do(func() {
		if err := arp.Listen(t.Context(), func(c arp.Claim) { heard <- c }); err != nil {
			t.Error(err)
		}
	})
	deadline := time.After(time.Minute)
	for again := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case c := <-heard:
			if c.Addr != vip {
				t.Errorf("heard %+v", c)
			}
			return
		case <-again.C: // until somebody listens
			here.Do(func() {
				if err := arp.AskAll("eth0", []netip.Addr{vip, netip.MustParseAddr("192.168.25.101")}); err != nil {
					t.Error(err)
				}
			})
		case <-deadline:
			t.Fatal("nobody answered")
		}
	}
}
