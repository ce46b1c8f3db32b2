package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A storm is its first lines, and one with a count.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := map[string]int{}
		var last Event
		tell := Calm(func(e Event) {
			got[e.Message]++
			last = e
		})
		for i := range 40000 {
			tell(Event{Message: "first check passed", Level: slog.LevelInfo, Details: []Detail{{"check", i}}})
		}
		tell(Event{Message: "started"})
		time.Sleep(stormFor)
		synctest.Wait()
		if got["first check passed"] != stormFrom || got["started"] != 1 || got["more of the same"] != 1 {
			t.Errorf("written: %v", got)
		}
		if want := "[{message first check passed} {times 39950} {within 10s}]"; fmt.Sprint(last.Details) != want {
			t.Errorf("told %v, want %s", last.Details, want)
		}
		tell(Event{Message: "first check passed"})
		time.Sleep(stormFor)
		if got["first check passed"] != stormFrom+1 || got["more of the same"] != 1 {
			t.Errorf("when it is over: %v", got)
		}
	})
}

// Of what any neighbour can have told of, the log has less than a line a second.
func TestCalmAboutStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := 0
		tell := Calm(func(Event) { lines++ })
		const seconds = 60
		for range seconds {
			tell(Event{Kind: OtherDirector, Message: "another director"})
			time.Sleep(time.Second)
		}
		time.Sleep(stormFor)
		if most := (seconds/10 + 1) * (strangersFrom + 1); lines > most {
			t.Errorf("%d lines in %d s, want at most %d", lines, seconds, most)
		}
	})
}
