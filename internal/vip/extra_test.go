package vip

import (
	"testing"
	"time"
)

// What is extra is announced again and again while the addresses are here, for the first time
// after the delay and the interval; a change of the interval counts from then on.
func TestExtraIsAnnouncedAgainAndAgain(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		list := on("192.0.2.100/32", "192.0.2.101/32")
		wanted := Wanted{Owner: "a", Addresses: list, Extra: Extra{Every: 10 * time.Second, Delay: 5 * time.Second, Addresses: list[1:]}}
		b.set(wanted)
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			b.quiet()
			b.wantCalls(want...)
		}
		after(time.Minute)
		b.move("a", Here)
		b.machine.Calls()
		after(14 * time.Second)
		after(2*time.Second, "announce 192.0.2.101")
		after(10*time.Second, "announce 192.0.2.101")
		after(9*time.Second - 1)
		b.move("a", Elsewhere)
		b.machine.Calls()
		after(time.Minute)

		b.move("a", Here)
		b.machine.Calls()
		wanted.Extra.Every = 2 * time.Second
		b.set(wanted)
		after(2500*time.Millisecond, "announce 192.0.2.101")
		wanted.Extra.Every = 0
		b.set(wanted)
		after(time.Minute)
		wanted.Extra.Every = 2 * time.Second
		b.set(wanted)
		b.set()
		b.machine.Calls()
		after(time.Minute)
	})
}
