package check

import "time"

// round is which page HTTP_GET asks for next, and how soon (keepalived, check_http.c,
// epilog).
//
//	              all pages are good, one after the other
//	           ┌───────────────────────────────────────────┐
//	           │                                           ▼
//	     ┌─────┴───┐      the failed page is good      ┌──────┐
//	───► │ proving │◄────────────┐                     │  up  │
//	     └─────┬───┘             │                     └──┬───┘
//	           │            ┌────┴───┐      its retries   │
//	           │            │ failed │◄───────────────────┘
//	           │            └────────┘
//	           │                 ▲
//	           └─────────────────┘
//	            in the first round
//
// While it is failed, only the page that failed is asked for. A page that fails in a later
// round of proving is asked for again, and the round goes on behind it.
type round struct {
	// pages is how many there are, and next the number of the next one.
	pages, next int
	// fast has a server prove itself without a delay between its pages.
	fast bool
	// settled says that a round of all pages, or a try that failed, is behind it, and
	// failed that the server is down by the next page.
	settled, failed bool
	// up is the verdict as Pace heard it last, and bad that the last try failed.
	up, bad bool
}

// tried takes in how the try of the next page went, and returns what a Checker returns.
func (r *round) tried(err error) error {
	if r.bad = err != nil; r.bad {
		return err
	}
	if r.failed {
		r.failed, r.next = false, 0
		return ErrUnfinished
	}
	if r.next++; r.next < r.pages {
		return ErrUnfinished
	}
	r.next, r.settled = 0, true
	return nil
}

// Pace is that of Paced: no delay with fast while the server has to prove itself, and the
// longer of both delays while it is failed.
func (r *round) Pace(up bool, t Timing, wait time.Duration) time.Duration {
	if r.bad {
		r.failed = r.failed || !up && (r.up || !r.settled)
		r.settled = true
	}
	r.up = up
	switch {
	case !r.bad && r.fast && (!r.settled || !up && !r.failed):
		return 0
	case r.bad && r.failed:
		return max(t.DelayLoop, t.DelayBeforeRetry)
	case r.bad:
		return t.DelayBeforeRetry
	}
	return wait
}
