package ha

import (
	"net/netip"
	"testing"

	"weir/internal/netlnk/fakenet"
)

// An advert of a VRID that no instance of the interface has is told.
func TestUnknownVRID(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1), on(52, 100, vip2))
		from := netip.MustParseAddr("192.0.2.9")
		if e := b.Unknown(b.list[0].id, 52, from); e != nil {
			t.Errorf("told of an instance: %+v", e)
		}
		if e := b.Unknown(b.list[0].id, 53, from); e == nil || e.Device != "eth0" {
			t.Errorf("not told of another: %+v", e)
		}
	})
}
