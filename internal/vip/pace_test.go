package vip

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A gap lies between two announcements of a kind, on all devices that share it.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{}
		if e.gapsOf("eth0") != nil {
			t.Error("there is a gap before anybody asked for one")
		}
		e.SetPaces(Pace{ARP: time.Second}, []SharedPace{{Devices: []string{"eth1", "eth2"}, Pace: Pace{NA: time.Minute}}})
		arp, na := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
		took := func(device string, addrs ...netip.Addr) time.Duration {
			begun := time.Now()
			for _, a := range addrs {
				e.gapsOf(device).wait(a)
			}
			return time.Since(begun)
		}
		for _, tt := range []struct {
			device string
			addrs  []netip.Addr
			want   time.Duration
		}{
			{"eth0", []netip.Addr{arp, arp, arp}, 2 * time.Second},
			{"eth0", []netip.Addr{na, na}, 0},
			{"eth1", []netip.Addr{arp, arp, na}, 0},
			{"eth2", []netip.Addr{na}, time.Minute},
		} {
			if got := took(tt.device, tt.addrs...); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.device, got, tt.want)
			}
		}
	})
}
