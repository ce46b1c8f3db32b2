package vrrp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestHandOver: a master that is stopped keeps the addresses until another director has
// taken over, and no longer than HandOver.
func TestHandOver(t *testing.T) {
	t.Run("to the backup", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSegment()
			a := s.add(t, handOverConfig(100, "192.168.25.31"), discard())
			b := s.add(t, handOverConfig(90, "192.168.25.32"), discard())
			a.run()
			b.run()
			time.Sleep(4 * time.Second)
			a.stop()
			b.stop()
			// The backup's skew time at priority 90 is 0.6484375 s.
			wantStory(t, "a", a.story(), `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0
				4.6484375s MASTER > INIT`)
			wantStory(t, "b", b.story(), `0s INIT > BACKUP
				4.6484375s advert 90, lease, BACKUP > MASTER, announce, advert 0
				5.6484375s MASTER > INIT`)
		})
	})
}

func handOverConfig(priority uint8, source string) Config {
	return Config{
		Name: source, VRID: 51, Priority: priority, AdvertInterval: time.Second,
		VIPs: []netip.Addr{netip.MustParseAddr("192.168.25.100")}, Source: netip.MustParseAddr(source),
		HandOver: MaxSkewTime,
	}
}
