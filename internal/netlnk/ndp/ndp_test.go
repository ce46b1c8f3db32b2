package ndp_test

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/ndp"
	"weir/internal/netlnk/nstest"
)

var (
	mac = net.HardwareAddr{0x52, 0x54, 0x00, 0x1f, 0xaa, 0x03}
	vip = netip.MustParseAddr("2001:db8::64")
)

// Field by field: version 6, 32 bytes of ICMPv6, hop limit 255, from the VIP to
// ff02::1; type 136, code 0, checksum, flags R and O; the target; option 2 of 8 bytes.
func TestAdvertisementOnTheWire(t *testing.T) {
	const address = "20010db8000000000000000000000064"
	for flags, tt := range map[string]struct {
		router   bool
		checksum string
	}{"20": {false, "fdee"}, "a0": {true, "7dee"}} {
		want, err := hex.DecodeString("60000000" + "0020" + "3a" + "ff" + address + "ff020000000000000000000000000001" +
			"88" + "00" + tt.checksum + flags + "000000" + address + "02" + "01" + "5254001faa03")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ndp.Advertisement{Target: vip, MAC: mac, Router: tt.router}.MarshalBinary()
		if err != nil || !bytes.Equal(got, want) || len(got) != ndp.Size {
			t.Errorf("got  %x, %v\nwant %x", got, err, want)
		}
	}
}

func TestMarshalBinaryErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    ndp.Advertisement
		want string
	}{
		{"IPv4", ndp.Advertisement{Target: netip.MustParseAddr("192.168.25.100"), MAC: mac}, "unicast IPv6"},
		{"IPv4 in IPv6", ndp.Advertisement{Target: netip.MustParseAddr("::ffff:192.168.25.100"), MAC: mac}, "unicast IPv6"},
		{"a group", ndp.Advertisement{Target: netip.MustParseAddr("ff02::1"), MAC: mac}, "unicast IPv6"},
		{"no address", ndp.Advertisement{MAC: mac}, "unicast IPv6"},
		{"a short MAC", ndp.Advertisement{Target: vip, MAC: mac[:5]}, "6 bytes"},
	} {
		if b, err := tt.a.MarshalBinary(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %x, %v, want an error with %q", tt.name, b, err, tt.want)
		}
	}
}

// A neighbour that has the VIP with another MAC address learns the new one, and whether
// its sender is a router. Its kernel accepts only a correct checksum, hop limit and length.
func TestAnnounce(t *testing.T) {
	near, far := nstest.New(t, "near"), nstest.New(t, "far")
	nstest.Veth(near, "ens160", far, "ens160")
	near.IP("address", "add", "2001:db8::1/64", "dev", "ens160", "nodad")
	far.IP("address", "add", "2001:db8::2/64", "dev", "ens160", "nodad")
	var nearMAC string
	near.Do(func() {
		nstest.WaitFor(t, "carrier", func() bool {
			l, err := netlnk.LinkByName("ens160")
			nearMAC = l.MAC.String()
			return err == nil && l.Up
		})
	})
	entry := func() string { return far.IP("neighbour", "show", vip.String()) }
	for _, forwarding := range []string{"0", "1"} {
		far.IP("neighbour", "replace", vip.String(), "lladdr", "02:00:00:00:00:01", "dev", "ens160", "nud", "stale")
		near.Do(func() {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/ens160/forwarding", []byte(forwarding), 0o644); err != nil {
				t.Fatal(err)
			}
			announce(t, "ens160")
		})
		nstest.WaitFor(t, "the neighbour learns the new MAC", func() bool { return strings.Contains(entry(), nearMAC) })
		if got := strings.Contains(entry(), "router"); got != (forwarding == "1") {
			t.Errorf("forwarding %s: the neighbour has %q", forwarding, entry())
		}
	}
}

// announce sends one neighbour advertisement for the VIP from the device.
func announce(t *testing.T, dev string) {
	t.Helper()
	router, err := netlnk.Forwards6(dev)
	if err != nil {
		t.Fatal(err)
	}
	s, err := netlnk.OpenSender(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := ndp.Frame(s.Link, vip, router)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Send([]netlnk.Frame{f}); n != 1 || err != nil {
		t.Fatalf("sent %d, %v", n, err)
	}
}

func TestFrameErrors(t *testing.T) {
	for want, vip := range map[string]netip.Addr{"IPv6": netip.MustParseAddr("192.168.25.100"), "6 bytes": vip} {
		if _, err := ndp.Frame(netlnk.Link{Name: "lo"}, vip, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Frame of %s = %v, want an error that says %q", vip, err, want)
		}
	}
}
