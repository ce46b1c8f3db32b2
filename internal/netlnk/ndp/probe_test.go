package ndp_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"weir/internal/netlnk/ndp"
	"weir/internal/netlnk/nstest"
)

// Field by field: version 6, 24 bytes of ICMPv6, hop limit 255, from the unspecified address
// to the target's group; type 135, code 0, checksum, reserved, the target; no option.
func TestProbeOnTheWire(t *testing.T) {
	want, err := hex.DecodeString("60000000" + "0018" + "3a" + "ff" + "00000000000000000000000000000000" +
		"ff0200000000000000000001ff000064" + "87" + "00" + "4c27" + "00000000" + "20010db8000000000000000000000064")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ndp.ProbeFrame(vip)
	if err != nil || !bytes.Equal(got.Payload, want) || got.To.String() != "33:33:ff:00:00:64" {
		t.Errorf("got  %x to %s, %v\nwant %x", got.Payload, got.To, err, want)
	}
	for _, addr := range []string{"192.168.25.100", "::ffff:192.168.25.100", "ff02::1", "::"} {
		if _, err := ndp.ProbeFrame(netip.MustParseAddr(addr)); err == nil {
			t.Errorf("a probe for %s", addr)
		}
	}
}

// A machine that has an address answers a probe for it, and Listen hears that.
func TestAskAll(t *testing.T) {
	here, there := nstest.New(t, "ndp-asks"), nstest.New(t, "ndp-has")
	nstest.Veth(here, "eth0", there, "eth0")
	there.IP("addr", "add", vip.String()+"/64", "dev", "eth0", "nodad")
	heard := make(chan ndp.Claim, 1024)
	go here.Do(func() {
		if err := ndp.Listen(t.Context(), func(c ndp.Claim) { heard <- c }); err != nil {
			t.Error(err)
		}
	})
	deadline := time.After(time.Minute)
	for again := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case c := <-heard:
			if c.Addr.IsLinkLocalUnicast() {
				continue // the kernel's own
			}
			if c.Addr != vip {
				t.Errorf("heard %+v", c)
			}
			return
		case <-again.C: // until somebody listens
			here.Do(func() {
				if err := ndp.AskAll("eth0", []netip.Addr{vip, netip.MustParseAddr("2001:db8::65")}); err != nil {
					t.Error(err)
				}
			})
		case <-deadline:
			t.Fatal("nobody answered")
		}
	}
}
