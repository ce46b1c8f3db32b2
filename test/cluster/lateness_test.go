package cluster

import (
	"sync/atomic"
	"testing"
	"time"
)

// wakeUps is how many processes and goroutines have to wake up, one after the other, for
// what is measured here: the sender of an event, weir, the client, and who tells of it.
const wakeUps = 10

// lateness is how late a busy machine wakes up who sleeps. A bound of a protocol is kept
// apart from it.
type lateness struct{ longest atomic.Int64 }

// watchLateness measures until the test ends.
func watchLateness(t testing.TB) *lateness {
	l := &lateness{}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		const nap = 5 * time.Millisecond
		for {
			begun := time.Now()
			select {
			case <-done:
				return
			case <-time.After(nap):
			}
			if late := int64(time.Since(begun) - nap); late > l.longest.Load() {
				l.longest.Store(late)
			}
		}
	}()
	return l
}

// most is the longest so far.
func (l *lateness) most() time.Duration { return time.Duration(l.longest.Load()) }
