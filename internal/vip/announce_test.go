package vip

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/drift"
	"weir/internal/netlnk"
)

// many is a list of addresses on eth0, every other one of IPv6.
func many(n int) (list []Address) {
	for i := range n {
		p := fmt.Sprintf("10.0.%d.%d/32", i/250, i%250+1)
		if i%2 == 1 {
			p = fmt.Sprintf("2001:db8::%x/128", i)
		}
		list = append(list, on(p)...)
	}
	return list
}

// Move and Announce return at once, however slow the kernel is. Addresses are announced
// once as soon as they are here, and in all further rounds once all are.
func TestNobodyWaitsForTheKernel(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: many(1000), Rounds: 3})
		b.machine.Slow(time.Millisecond)
		begun := time.Now()
		b.Move("a", Here)
		b.Announce("a")
		b.Announce("a") // once is enough
		if took := time.Since(begun); took != 0 {
			t.Errorf("they took %s", took)
		}
		time.Sleep(999*time.Millisecond + 500*time.Microsecond)
		synctest.Wait()
		if got := len(b.machine.Prefixes("eth0")); got != 1000 || b.Counts("a") != (Counts{480, 480}) {
			t.Errorf("after a second %d addresses, announced %+v; want 15 batches", got, b.Counts("a"))
		}
		b.Wait("a")
		b.quiet()
		if got := b.Counts("a"); got != (Counts{1500, 1500}) {
			t.Errorf("announced %+v, want each address three times", got)
		}
		// 16 batches a round, each with a pause.
		if took := time.Since(begun); took > time.Second+100*time.Millisecond {
			t.Errorf("all took %s", took)
		}
	})
}

// Announcements go by batches with a pause between them, one round after the other, by
// one speaker.
func TestAnnouncementsArePaced(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		list := many(200)
		b.set(Wanted{Owner: "a", Addresses: list, Rounds: 5})
		b.move("a", Here)
		b.machine.Calls()
		b.Announce("a")
		var rounds []string
		for step := range 5 * 4 {
			synctest.Wait()
			calls := b.machine.Calls()
			if want := min(batch, 200-step%4*batch); len(calls) != want {
				t.Fatalf("step %d: %d announcements, want %d", step, len(calls), want)
			}
			if b.machine.Speakers() != 1 {
				t.Fatalf("step %d: %d speakers are open, want 1", step, b.machine.Speakers())
			}
			rounds = append(rounds, calls...)
			time.Sleep(pause)
		}
		b.wantCalls()
		for i, call := range rounds {
			if want := "announce " + list[i%200].Prefix.Addr().String(); call != want {
				t.Fatalf("announcement %d: %s, want %s", i, call, want)
			}
		}
		b.Announce("a")
		b.Announce("a")
		b.Announce("a")
		b.quiet()
		if got := b.Counts("a"); got.GratuitousARPs != 100*5*2 && got.GratuitousARPs != 100*5*3 {
			t.Errorf("announced %+v, want what waits to be announced once", got)
		}
	})
}

// The rounds of two owners on a device take turns.
func TestOwnersTakeTurns(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32"), Rounds: 2}, Wanted{Owner: "b", Addresses: on("192.0.2.101/32"), Rounds: 2})
		b.move("a", Here)
		b.move("b", Here)
		b.machine.Calls()
		b.Announce("a")
		b.Announce("b")
		b.quiet()
		got := b.machine.Calls()
		if len(got) != 4 || got[0] == got[1] || got[0] != got[2] || got[1] != got[3] {
			t.Errorf("announced %v, want each in turn", got)
		}
	})
}

// An owner that moves away is announced no more, and none of its addresses stays.
func TestMoveEndsAnnouncements(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: many(1000), Rounds: 5})
		b.move("a", Here)
		b.Announce("a")
		time.Sleep(10*pause + pause/2)
		b.Move("a", Elsewhere)
		before := b.Counts("a")
		b.Wait("a")
		b.quiet()
		if after := b.Counts("a"); after != before || before.GratuitousARPs == 0 {
			t.Errorf("announced %+v and %+v after it had moved away", before, after)
		}
		b.wantAddresses(own)
	})
}

// An owner that moves away while its addresses are added, and back while they are removed,
// is where it was sent last.
func TestMoveOnTheWay(t *testing.T) {
	for _, tt := range []struct {
		moves []Place
		want  int // addresses
	}{
		{[]Place{Here, Elsewhere}, 0},
		{[]Place{Here, Undecided}, 0},
		{[]Place{Here, Elsewhere, Here}, 1000},
		{[]Place{Here, Elsewhere, Here, Elsewhere, Elsewhere}, 0},
		{[]Place{Elsewhere, Here, Here}, 1000},
	} {
		simulate(t, func(t *testing.T, b *bed) {
			b.set(Wanted{Owner: "a", Addresses: many(1000)})
			b.machine.Slow(time.Millisecond)
			for i, to := range tt.moves {
				b.Move("a", to)
				b.Announce("a")
				if i < len(tt.moves)-1 {
					time.Sleep(100 * time.Millisecond)
				}
			}
			b.Wait("a")
			b.quiet()
			if got := len(b.machine.Prefixes("eth0")) - 1; got != tt.want {
				t.Errorf("%v: %d addresses, want %d", tt.moves, got, tt.want)
			}
			// One batch is added, and announced, before it moves away.
			counts := b.Counts("a")
			if got := int(counts.GratuitousARPs + counts.UnsolicitedNAs); got < tt.want || got > tt.want+2*batch {
				t.Errorf("%v: announced %d, want %d and what was announced before", tt.moves, got, tt.want)
			}
		})
	}
}

// A reload while addresses are added, or removed, has the last word.
func TestSetOnTheWay(t *testing.T) {
	before, after := many(1000), many(1001)[1:]
	for _, tt := range []struct {
		name string
		to   Place
		next []Wanted
		want []Address
	}{
		{"adding", Here, []Wanted{{Owner: "a", Addresses: after}}, after},
		{"adding, and forgotten", Here, nil, nil},
		{"removing", Elsewhere, []Wanted{{Owner: "a", Addresses: after}}, nil},
		{"removing, and forgotten", Elsewhere, nil, nil},
	} {
		for try := range 20 { // the two meet at different moments
			simulate(t, func(t *testing.T, b *bed) {
				b.set(Wanted{Owner: "a", Addresses: before})
				if tt.to == Elsewhere {
					b.move("a", Here)
				}
				b.Move("a", tt.to)
				for range try {
					runtime.Gosched()
				}
				b.set(tt.next...)
				b.quiet()
				var want []string
				for _, a := range tt.want {
					want = append(want, a.Prefix.String())
				}
				b.wantAddresses(append(want, own)...)
			})
		}
	}
}

// A device that is busy is tried again; one that was made anew gets another speaker; one
// that takes nothing is told of once for all rounds.
func TestSpeakerFails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		spoil   func(b *bed)
		unheard string
		want    uint64 // announcements
	}{
		{"one is refused", func(b *bed) { b.machine.Refuse("announce", 70) }, "[]", 400},
		{"the device is busy", func(b *bed) { b.busy = 50 }, "[]", 400},
		{"the device stays busy", func(b *bed) { b.busy = 1 << 30 }, "[A 10.0.0.1 the device's queue is full]", 0},
		{"no speaker", func(b *bed) { b.machine.Refuse("speaker", -1) }, "[A 10.0.0.1 refused by the test]", 0},
		{"all are refused", func(b *bed) { b.machine.Refuse("announce", -1) }, "[A 10.0.0.1 refused by the test]", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, b *bed) {
				b.set(Wanted{Owner: "a", Label: "A", Addresses: many(200), Rounds: 2})
				b.move("a", Here)
				tt.spoil(b)
				b.Announce("a")
				b.quiet()
				if got := fmt.Sprint(b.unheard); got != tt.unheard {
					t.Errorf("unheard %s, want %s", got, tt.unheard)
				}
				if got := b.Counts("a"); got.GratuitousARPs+got.UnsolicitedNAs != tt.want {
					t.Errorf("announced %+v, want %d", got, tt.want)
				}
			})
		})
	}
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Label: "A", Addresses: many(200), Rounds: 2})
		b.move("a", Here)
		b.Announce("a")
		synctest.Wait()
		b.machine.Unplug("eth0")
		b.machine.Plug("eth0", 7, own)
		b.quiet()
		if got := b.Counts("a"); got != (Counts{200, 200}) || len(b.unheard) > 0 {
			t.Errorf("device made anew: announced %+v, unheard %v", got, b.unheard)
		}
	})
}

// IPv6 addresses are deprecated, unless they are wanted otherwise; what another program
// changes of that is repaired.
func TestPreferred(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		list := on("2001:db8::1/128", "2001:db8::2/128", "2001:db8::3/128", "192.0.2.100/32")
		list[1].Preferred, list[2].Preferred = netlnk.PreferredForever, 20
		b.set(Wanted{Owner: "a", Addresses: list})
		b.move("a", Here)
		b.machine.Calls()
		want := func(deprecated ...bool) {
			t.Helper()
			have, err := b.machine.List("eth0")
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range deprecated {
				if a := have[i+1]; a.Deprecated != d {
					t.Errorf("%s is deprecated: %v, want %v", a.Prefix, a.Deprecated, d)
				}
			}
		}
		want(true, false, false, false)
		repair := func(drifts string) {
			t.Helper()
			b.Repair(func(Owner) bool { return true })
			b.ledger.Done()
			if got := fmt.Sprint(b.ledger.Counts()); got != drifts {
				t.Errorf("drift %s, want %s", got, drifts)
			}
		}
		repair("map[]")
		b.machine.Add("eth0", list[0].Prefix, netlnk.PreferredForever, netlnk.AddressOptions{})
		b.machine.Add("eth0", list[1].Prefix, 0, netlnk.AddressOptions{})
		b.machine.Add("eth0", list[2].Prefix, 0, netlnk.AddressOptions{}) // its time is over
		repair("map[vip_lifetimes:2 found, 2 repaired]")
		want(true, false, true, false)
		b.machine.Calls()
		list = slices.Clone(list)
		list[0].Preferred = netlnk.PreferredForever
		b.set(Wanted{Owner: "a", Addresses: list})
		want(false, false, true, false)
		b.quiet()
		if got := b.machine.Calls(); len(got) == 0 || strings.HasPrefix(got[0], "remove") {
			t.Errorf("done %v, want another lifetime, and nothing removed", got)
		}
	})
}

// Repair does not wait for the kernel's answers about many addresses, and an owner that
// moves away meanwhile keeps none.
func TestRepairOfMany(t *testing.T) {
	list := many(1000)
	for _, away := range []bool{false, true} {
		simulate(t, func(t *testing.T, b *bed) {
			b.set(Wanted{Owner: "a", Addresses: list})
			b.move("a", Here)
			for _, a := range list {
				b.machine.Remove(a.Device, a.Prefix)
			}
			b.machine.Slow(time.Millisecond)
			begun := time.Now()
			b.Repair(func(Owner) bool { return true })
			b.ledger.Done()
			if took := time.Since(begun); took != 0 {
				t.Errorf("it took %s", took)
			}
			time.Sleep(500 * time.Millisecond)
			b.Repair(func(Owner) bool { return true }) // the owner is at work
			if away {
				b.Move("a", Elsewhere)
			}
			b.Wait("a")
			b.quiet()
			count, have := b.ledger.Counts()[DriftMissing], len(b.machine.Prefixes("eth0"))-1
			switch {
			case away && (have > 0 || count.Found == 0 || count.Found == 1000):
				t.Errorf("moved away: %s, and %d addresses", count, have)
			case !away && (have != 1000 || count != drift.Count{Found: 1000, Repaired: 1000} || b.Counts("a") != Counts{500, 500}):
				t.Errorf("%s, %d addresses, announced %+v", count, have, b.Counts("a"))
			}
		})
	}
}

// Of what a dead process has left only the VIPs that nobody has any more are removed, and
// nothing that weir has not added.
func TestClearLeft(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		for _, p := range []string{"192.0.2.100/32", "192.0.2.101/32", "192.0.2.102/24"} {
			b.machine.Add("eth0", netip.MustParsePrefix(p), 0, netlnk.AddressOptions{})
		}
		b.machine.Give("eth0", netip.MustParsePrefix("192.0.2.103/32"))
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32", "192.0.2.102/32")})
		b.machine.Refuse("remove", 1)
		removed, err := b.ClearLeft()
		if err == nil || fmt.Sprint(removed) != "[192.0.2.102/24 on eth0]" {
			t.Errorf("removed %v, %v; want that one could not be", removed, err)
		}
		removed, err = b.ClearLeft()
		if err != nil || fmt.Sprint(removed) != "[192.0.2.101/32 on eth0]" {
			t.Errorf("removed %v, %v", removed, err)
		}
		b.wantAddresses(own, "192.0.2.100/32", "192.0.2.103/32")
		b.machine.Refuse("list", 1)
		if _, err := b.ClearLeft(); err == nil {
			t.Error("want an error where the addresses cannot be listed")
		}
	})
}
