package vrrp

import (
	"errors"
	"testing"
	"time"
)

// A link that takes all VRIDs delivers one advert a minute of each other one, as another
// router's, and everything of its own.
func TestLinkTellsOfOtherVRIDs(t *testing.T) {
	a, b := twoHosts(t)
	own, other, third := a.open(t, 51), a.open(t, 52), a.open(t, 53)
	var to *Link
	within(t, b.ns, func() (err error) {
		to, err = OpenLink(LinkConfig{Interface: "ens160", VRID: 51, AllVRIDs: true, Source: b.addr}, discard())
		return err
	})
	defer to.Close()
	for range 3 {
		must(t, other.Send(seedAdvert(52, 200)))
	}
	must(t, third.Send(seedAdvert(53, 200)))
	must(t, own.Send(seedAdvert(51, 100)))
	for _, want := range []uint8{52, 53, 51} {
		select {
		case p := <-to.Received():
			var drop *DropError
			other := errors.As(p.Err, &drop) && drop.Reason == DropVRID
			if p.Advertisement.VRID != want || p.Source != a.addr || other != (want != 51) {
				t.Errorf("got %+v, want VRID %d", p, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nothing of VRID %d in a minute", want)
		}
	}
}
