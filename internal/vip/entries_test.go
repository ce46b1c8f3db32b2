package vip

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/netlnk"
)

// Routes and rules follow the addresses, a change of the configuration, and what somebody
// else removes.
func TestEntriesFollowAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		list := func(words ...string) (all []netlnk.Entry) {
			for _, w := range words {
				all = append(all, netlnk.Entry{Words: w})
			}
			return all
		}
		want := func(what string, words ...string) {
			t.Helper()
			b.Wait("a")
			synctest.Wait()
			if got := b.machine.Entries(); !slices.Equal(got, list(words...)) {
				t.Errorf("%s: %v, want %v", what, got, words)
			}
		}
		wanted := Wanted{Owner: "a", Label: "A", Addresses: on("192.0.2.100/32"), Entries: list("1", "2")}
		b.set(wanted)
		want("before")
		b.Move("a", Here)
		want("here", "1", "2")
		if calls := b.machine.Calls(); fmt.Sprint(calls) != "[add 192.0.2.100/32 add route 1 add route 2]" {
			t.Errorf("done %v", calls)
		}
		wanted.Entries = list("2", "3")
		b.set(wanted)
		want("changed", "2", "3")
		b.machine.RemoveEntry(list("2")[0])
		b.Repair(func(Owner) bool { return true })
		want("repaired", "3", "2")
		b.Move("a", Elsewhere)
		want("elsewhere")
		b.Move("a", Here)
		want("here again", "2", "3")
		b.set()
		want("forgotten")
	})
}

// An address with another label is another one.
func TestChangedOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		wanted := Wanted{Owner: "a", Label: "A", Addresses: on("192.0.2.100/32")}
		b.set(wanted)
		b.Move("a", Here)
		b.Wait("a")
		b.machine.Calls()
		wanted.Addresses = on("192.0.2.100/32")
		wanted.Addresses[0].Options.Label = "eth0:x"
		b.set(wanted)
		time.Sleep(time.Second)
		if calls := b.machine.Calls(); len(calls) < 2 || calls[0] != "remove 192.0.2.100/32" || calls[1] != "add 192.0.2.100/32" {
			t.Errorf("done %v", calls)
		}
	})
}
