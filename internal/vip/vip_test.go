package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/drift"
	"weir/internal/netlnk/fakenet"
)

// on is a list of addresses on eth0.
func on(prefixes ...string) (list []Address) {
	for _, p := range prefixes {
		list = append(list, Address{Device: "eth0", Prefix: netip.MustParsePrefix(p)})
	}
	return list
}

// bed is an engine on a machine that has 192.0.2.1/24 on eth0.
type bed struct {
	*Engine
	t       *testing.T
	machine *fakenet.Machine
	segment *fakenet.Segment
	ledger  *drift.Ledger
	failed  []Failure // of the last Move
	unheard []string
	busy    int // how often a speaker is busy
}

// announcer is a machine's, which is busy so many times.
type announcer struct{ *bed }

func (a announcer) Open(device string) (Speaker, error) {
	s, err := a.machine.OpenSpeaker(device)
	return speech{s, a.bed}, err
}

type speech struct {
	*fakenet.Speaker
	bed *bed
}

func (s speech) Announce(addrs []netip.Addr) (int, error) {
	if s.bed.busy > 0 {
		s.bed.busy--
		return 0, ErrBusy
	}
	return s.Speaker.Announce(addrs)
}

func newBed(t *testing.T) *bed {
	segment := fakenet.NewSegment()
	b := &bed{t: t, segment: segment, machine: segment.Machine("192.0.2.1/24"), ledger: drift.NewLedger(slog.New(slog.DiscardHandler))}
	b.Engine = New(b.machine, announcer{b}, b.ledger, Reports{
		Failed: func(failed []Failure) { b.failed = failed },
		Unheard: func(label string, a netip.Addr, err error) {
			b.unheard = append(b.unheard, fmt.Sprint(label, " ", a, " ", err))
		},
	})
	return b
}

// set has the engine do so, and wants nothing to fail.
func (b *bed) set(all ...Wanted) {
	b.t.Helper()
	if failed, err := b.Set(all); err != nil || len(failed) > 0 {
		b.t.Fatalf("set: %v, %v", failed, err)
	}
}

// moveTo moves an owner, waits until that is done, and returns what failed.
func (b *bed) moveTo(o Owner, to Place) []Failure {
	b.t.Helper()
	b.failed = nil
	if !b.Move(o, to) {
		b.t.Fatalf("move %s: it is not known", o)
	}
	synctest.Wait()
	return b.failed
}

// move is moveTo that wants nothing to fail.
func (b *bed) move(o Owner, to Place) {
	b.t.Helper()
	if failed := b.moveTo(o, to); len(failed) > 0 {
		b.t.Fatalf("move %s: failed %v", o, failed)
	}
}

// wantAddresses compares eth0's addresses.
func (b *bed) wantAddresses(want ...string) {
	b.t.Helper()
	var got []string
	for _, p := range b.machine.Prefixes("eth0") {
		got = append(got, p.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("eth0 has %v, want %v", got, want)
	}
}

func (b *bed) wantCalls(want ...string) {
	b.t.Helper()
	b.quiet()
	if got := b.machine.Calls(); !slices.Equal(got, want) {
		b.t.Errorf("done:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// quiet waits until all is announced.
func (b *bed) quiet() {
	for synctest.Wait(); b.machine.Speakers() > 0; synctest.Wait() {
		time.Sleep(pause)
	}
}

// simulate runs the body in a bubble, with a bed.
func simulate(t *testing.T, body func(t *testing.T, b *bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		body(t, b)
		b.quiet()
		if b.machine.Speakers() != 0 {
			t.Errorf("%d speakers are open in the end", b.machine.Speakers())
		}
	})
}

const own = "192.0.2.1/24"

// An owner's addresses come with its place, and go with it.
func TestMove(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32", "192.0.2.101/24"), Rounds: 2})
		b.wantAddresses(own)
		b.move("a", Elsewhere)
		b.wantCalls()
		b.move("a", Here)
		b.wantAddresses(own, "192.0.2.100/32", "192.0.2.101/24")
		b.machine.Calls()
		b.Announce("a")
		b.wantCalls("announce 192.0.2.100", "announce 192.0.2.101", "announce 192.0.2.100", "announce 192.0.2.101")
		b.move("a", Here) // once more changes nothing
		b.wantCalls()
		b.move("a", Undecided)
		b.wantAddresses(own)
		if b.Move("b", Here) {
			t.Error("an owner that was never set is known")
		}
		b.Announce("b")
		b.wantCalls("remove 192.0.2.100/32", "remove 192.0.2.101/24")
	})
}

// What could not be added, removed or announced is told, with its address.
func TestFailures(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Label: "A", Addresses: on("192.0.2.100/32", "192.0.2.101/32")})
		b.machine.Refuse("add", 1)
		failed := b.moveTo("a", Here)
		if len(failed) != 1 || failed[0].Label != "A" || failed[0].Removing || failed[0].Address != on("192.0.2.100/32")[0] {
			t.Errorf("failed %+v, want the first one to be added", failed)
		}
		b.wantAddresses(own, "192.0.2.101/32")
		b.machine.Refuse("announce", -1)
		b.Announce("a")
		b.quiet()
		if got := fmt.Sprint(b.unheard); got != "[A 192.0.2.100 refused by the test]" {
			t.Errorf("unheard %s, want the first one of the round", got)
		}
		b.machine.Refuse("remove", -1)
		failed = b.moveTo("a", Elsewhere)
		if len(failed) != 2 || !failed[0].Removing || !errors.Is(Join(failed), fakenet.ErrRefused) {
			t.Errorf("failed %+v, want both to be removed", failed)
		}
		if err := b.Clear("a"); !errors.Is(err, fakenet.ErrRefused) {
			t.Errorf("clear: %v", err)
		}
		if failed, err := b.Set(nil); err != nil || len(failed) > 0 {
			t.Errorf("set: %v, %v; want nothing to be removed of an owner that is elsewhere", failed, err)
		}
	})
}

// Another list of addresses changes what is here, and only that.
func TestSet(t *testing.T) {
	a, moved := on("192.0.2.100/32", "192.0.2.101/32"), on("192.0.2.101/32")
	for _, tt := range []struct {
		name  string
		next  []Wanted
		want  []string
		calls []string
	}{
		{"the same", []Wanted{{Owner: "a", Addresses: a}, {Owner: "b"}}, []string{own, "192.0.2.100/32", "192.0.2.101/32"}, nil},
		{"one less, one more", []Wanted{{Owner: "a", Addresses: on("192.0.2.100/32", "192.0.2.102/32"), Rounds: 2}},
			[]string{own, "192.0.2.100/32", "192.0.2.102/32"},
			[]string{"add 192.0.2.102/32", "remove 192.0.2.101/32", "announce 192.0.2.102", "announce 192.0.2.102"}},
		{"an owner is forgotten", nil, []string{own}, []string{"remove 192.0.2.100/32", "remove 192.0.2.101/32"}},
		{"another owner that is here takes one", []Wanted{{Owner: "a", Addresses: a[:1]}, {Owner: "b", Addresses: moved}},
			[]string{own, "192.0.2.100/32", "192.0.2.101/32"}, []string{"announce 192.0.2.101"}},
		{"an owner that is elsewhere takes one", []Wanted{{Owner: "a", Addresses: a[:1]}, {Owner: "c", Addresses: moved}},
			[]string{own, "192.0.2.100/32"}, []string{"remove 192.0.2.101/32"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, b *bed) {
				b.set(Wanted{Owner: "a", Addresses: a}, Wanted{Owner: "b"}, Wanted{Owner: "c"})
				b.move("a", Here)
				b.move("b", Here)
				b.move("c", Elsewhere)
				b.machine.Calls()
				b.set(tt.next...)
				b.wantAddresses(tt.want...)
				b.wantCalls(tt.calls...)
			})
		})
	}
}

// The kernel removes secondary addresses with the primary one of their network: a new
// one that has come as a secondary is there in the end.
func TestSetReplacesAPrimaryAddress(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: on("198.51.100.1/24")})
		b.move("a", Here)
		b.set(Wanted{Owner: "a", Addresses: on("198.51.100.2/24")})
		b.wantAddresses(own, "198.51.100.2/24")
	})
}

// An address that cannot be added leaves everything as it was.
func TestSetIsAllOrNothing(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32")})
		b.move("a", Here)
		b.machine.Refuse("add", 2)
		next := Wanted{Owner: "a", Addresses: on("192.0.2.101/32", "192.0.2.102/32")}
		if _, err := b.Set([]Wanted{next}); !errors.Is(err, fakenet.ErrRefused) || !strings.HasPrefix(err.Error(), "add VIP: ") {
			t.Errorf("error %v, want that the VIP was not added", err)
		}
		b.wantAddresses(own, "192.0.2.100/32")
		b.move("a", Elsewhere)
		b.wantAddresses(own)
	})
}

// What a dead process left is known to be complete, or cleared.
func TestCompleteAndClear(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32", "192.0.2.101/32")})
		b.machine.Give("eth0", netip.MustParsePrefix("192.0.2.100/32"))
		complete := func(o Owner, want bool) {
			t.Helper()
			if got, err := b.Complete(o); err != nil || got != want {
				t.Errorf("complete: %v, %v, want %v", got, err, want)
			}
		}
		complete("a", false)
		complete("b", false)
		b.machine.Give("eth0", netip.MustParsePrefix("192.0.2.101/32"))
		complete("a", true)
		b.machine.Refuse("list", 1)
		if _, err := b.Complete("a"); !errors.Is(err, fakenet.ErrRefused) {
			t.Errorf("error %v, want that the addresses cannot be listed", err)
		}
		if err := errors.Join(b.Clear("a"), b.Clear("b")); err != nil {
			t.Error(err)
		}
		b.wantAddresses(own)
	})
}

// What somebody does to the addresses, by where they are to be, and what is there after.
func TestRepair(t *testing.T) {
	const vip1, vip2 = "192.0.2.100/32", "192.0.2.101/24"
	remove := func(p string) func(*bed) {
		return func(b *bed) { b.machine.Remove("eth0", netip.MustParsePrefix(p)) }
	}
	add := func(p string) func(*bed) {
		return func(b *bed) { b.machine.Give("eth0", netip.MustParsePrefix(p)) }
	}
	for _, tt := range []struct {
		name   string
		places []Place
		sure   bool
		do     func(*bed)
		want   []string
		drift  string
	}{
		{"nothing", []Place{Here}, true, func(*bed) {}, []string{own, vip1, vip2}, "map[]"},
		{"one is removed", []Place{Here}, true, remove(vip1), []string{own, vip1, vip2}, "map[vip_addresses:1 found, 1 repaired]"},
		{"one is removed, and its owner is not sure", []Place{Here}, false, remove(vip1), []string{own, vip2}, "map[]"},
		{"one is added that is elsewhere", []Place{Elsewhere}, false, add(vip1), []string{own}, "map[stray_addresses:1 found, 1 repaired]"},
		{"one of another length is added", []Place{Elsewhere}, false, add("192.0.2.100/24"), []string{own}, "map[stray_addresses:1 found, 1 repaired]"},
		{"another address is added", []Place{Elsewhere}, false, add("192.0.2.55/24"), []string{own, "192.0.2.55/24"}, "map[]"},
		{"one is added that was here", []Place{Here, Elsewhere}, false, add(vip1), []string{own}, "map[stray_addresses:1 found, 1 repaired]"},
		{"nobody has said where yet", nil, true, add(vip1), []string{own, vip1}, "map[]"},
		{"nobody says where any more", []Place{Here, Undecided}, true, add(vip1), []string{own, vip1}, "map[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, b *bed) {
				b.set(Wanted{Owner: "a", Addresses: on(vip1, vip2)})
				for _, p := range tt.places {
					b.move("a", p)
				}
				tt.do(b)
				for range 3 {
					b.Repair(func(Owner) bool { return tt.sure })
					b.ledger.Done()
				}
				b.wantAddresses(tt.want...)
				if got := fmt.Sprint(b.ledger.Counts()); got != tt.drift {
					t.Errorf("drift %s, want %s", got, tt.drift)
				}
			})
		})
	}
}

// A repaired address is announced; a device that is gone is no drift, and its addresses are
// added when it comes again.
func TestRepairAnnounces(t *testing.T) {
	simulate(t, func(t *testing.T, b *bed) {
		sure := func(Owner) bool { return true }
		b.set(Wanted{Owner: "a", Addresses: on("192.0.2.100/32"), Rounds: 2})
		b.move("a", Here)
		b.machine.Remove("eth0", netip.MustParsePrefix("192.0.2.100/32"))
		b.machine.Calls()
		b.Repair(sure)
		b.wantCalls("add 192.0.2.100/32", "announce 192.0.2.100", "announce 192.0.2.100")
		if b.segment.Holder(netip.MustParseAddr("192.0.2.100")) != b.machine {
			t.Error("the neighbours do not know")
		}
		b.machine.Unplug("eth0")
		b.Repair(sure)
		b.Repair(sure)
		if got := b.ledger.Counts()[DriftCompare]; got.Found != 0 {
			t.Errorf("found %d devices that cannot be looked at, want none", got.Found)
		}
		b.machine.Plug("eth0", 7, own)
		b.Repair(sure)
		b.wantAddresses(own, "192.0.2.100/32")
		// An owner that is forgotten in between is left alone.
		h := b.owner("a")
		b.set()
		b.repairOwner(h, sure)
		b.wantAddresses(own)
	})
}
