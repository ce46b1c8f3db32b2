package nexthop

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A neighbour that has not answered is not waited for again for ten seconds.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Silent
		one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		s.add([]netip.Addr{one})
		if !s.is(one) || s.is(other) {
			t.Error("which of them is silent?")
		}
		time.Sleep(silentFor + time.Second)
		s.add([]netip.Addr{other})
		if s.is(one) || !s.is(other) || len(s.until) != 1 {
			t.Errorf("later: %v", s.until)
		}
	})
}
