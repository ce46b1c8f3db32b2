package check

import (
	"slices"
	"sync"
	"time"
)

// agenda calls back at instants, once for all entries that are due at the same one. A process
// that wakes up once for many takes a fraction of the CPU of one that wakes up for each.
type agenda[T any] struct {
	// instant moves the time at which something is due after a wait to an instant.
	instant func(at, wait time.Duration) time.Duration
	due     func([]T) // called by a goroutine of its own at each instant
	began   time.Time // what instants are counted from

	mu       sync.Mutex
	first    map[time.Duration]*entry[T] // guarded by mu: of the entries of an instant, the last first
	instants []time.Duration             // guarded by mu: the keys of first, in order
	timer    *time.Timer                 // guarded by mu; nil before the first entry
}

// entry is a place in an agenda. Only the agenda reads and writes it.
type entry[T any] struct {
	of           T
	at           time.Duration // guarded by the agenda's mu, as all that follows
	listed       bool
	before, next *entry[T]
}

func newAgenda[T any](instant func(at, wait time.Duration) time.Duration, due func([]T)) *agenda[T] {
	return &agenda[T]{instant: instant, due: due, began: time.Now(), first: map[time.Duration]*entry[T]{}}
}

// earlier is the instants of turns, which come about again and again: a turn is made up to a
// twentieth of its wait before its time. To wake up once costs as much CPU as three or four checks.
func earlier(at, wait time.Duration) time.Duration {
	for _, step := range []time.Duration{200 * time.Millisecond, 100 * time.Millisecond, 50 * time.Millisecond} {
		if wait >= 20*step {
			return at - at%step
		}
	}
	return at
}

// later is the instants of deadlines, which seldom come about: up to 20 ms after their time. A
// server that is silent costs some of them one after the other before it is taken out.
func later(at, _ time.Duration) time.Duration {
	const step = 20 * time.Millisecond
	at += step - 1
	return at - at%step
}

// put has an entry, which is not in the agenda, be due after some time.
func (a *agenda[T]) put(e *entry[T], wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.began)
	at := a.instant(now+wait, wait)
	e.at, e.listed, e.before, e.next = at, true, nil, a.first[at]
	a.first[at] = e
	if e.next != nil {
		e.next.before = e
		return
	}
	i, _ := slices.BinarySearch(a.instants, at)
	a.instants = slices.Insert(a.instants, i, at)
	if i == 0 {
		a.set(now)
	}
}

// remove takes an entry out, and says whether it was in the agenda.
func (a *agenda[T]) remove(e *entry[T]) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !e.listed {
		return false
	}
	if e.next != nil {
		e.next.before = e.before
	}
	if e.before != nil {
		e.before.next = e.next
	} else if a.first[e.at] = e.next; e.next == nil {
		delete(a.first, e.at)
		if i, found := slices.BinarySearch(a.instants, e.at); found {
			a.instants = slices.Delete(a.instants, i, i+1)
		}
	}
	e.listed, e.before, e.next = false, nil, nil
	return true
}

// set sets the timer to the first instant. The caller holds mu.
func (a *agenda[T]) set(now time.Duration) {
	wait := a.instants[0] - now
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.wake)
		return
	}
	a.timer.Reset(wait)
}

// wake hands over what is due, in the order in which it was put.
func (a *agenda[T]) wake() {
	var all []T
	a.mu.Lock()
	now := time.Since(a.began)
	past, _ := slices.BinarySearch(a.instants, now+1)
	for _, at := range slices.Backward(a.instants[:past]) {
		for e := a.first[at]; e != nil; {
			next := e.next
			e.listed, e.before, e.next = false, nil, nil
			all = append(all, e.of)
			e = next
		}
		delete(a.first, at)
	}
	a.instants = slices.Delete(a.instants, 0, past)
	if len(a.instants) > 0 {
		a.set(now)
	}
	a.mu.Unlock()
	if len(all) > 0 {
		slices.Reverse(all)
		a.due(all)
	}
}

// end stops the timer, where nothing is to be due any more.
func (a *agenda[T]) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}
