package track

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/bfd"
)

// told are the statuses of a session, one after the other.
type told chan bfd.Status

func (c told) Follow(ctx context.Context, _ string, report func(bfd.Status)) {
	for {
		select {
		case s := <-c:
			report(s)
		case <-ctx.Done():
			return
		}
	}
}

// A session that begins says nothing until it has come up, or has had its time; one that is
// made anew keeps its verdict for as long.
func TestSessionIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := make(told)
		tracker := &bfdTracker{bfdSpec: bfdSpec{4 * time.Second}, name: "b", sessions: sessions}
		if v, known := tracker.First(); known {
			t.Errorf("known at once: %+v", v)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var reports []bool
		go tracker.Run(ctx, func(v Verdict) { reports = append(reports, v.Good) })
		step := func(what string, want ...bool) {
			t.Helper()
			synctest.Wait()
			if len(reports) != len(want) || len(want) > 0 && reports[len(want)-1] != want[len(want)-1] {
				t.Errorf("%s: %v, want %v", what, reports, want)
			}
			reports = nil
		}
		sessions <- bfd.Status{}
		time.Sleep(3 * time.Second)
		step("it has begun")
		sessions <- bfd.Status{Up: true, Been: true}
		step("it is up", true)
		sessions <- bfd.Status{Been: true}
		step("it is down", false)
		sessions <- bfd.Status{Up: true, Been: true}
		step("it is up again", true)
		sessions <- bfd.Status{}
		time.Sleep(3 * time.Second)
		step("it is made anew")
		time.Sleep(2 * time.Second)
		step("it does not come up in time", false)
		cancel()
		synctest.Wait()
	})
}
