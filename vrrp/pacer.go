package vrrp

import (
	"time"

	"weir/vrrp/pace"
)

// Pacer is a Transport that can send a master's adverts by itself, by a thread that nothing in
// this process holds up. The instance's goroutine calls it.
type Pacer interface {
	// Pace has an advert sent again and again, in place of the one before. It returns false
	// where it cannot.
	Pace(Pacing) bool
	// Paced tells what was sent since Pace, and allows more; with end, it ends that. Ok is false
	// where nothing is sent.
	Paced(end bool) (r pace.Report, ok bool)
}

// Pacing is what a Pacer sends.
type Pacing struct {
	Advert Advertisement
	Last   time.Time // when the advert was sent by Send; the next one is due Every later
	Every  time.Duration
	Limit  time.Duration // Config.Lease
	Lease  *pace.Lease   // nil is none
}

// Leaser is an Owner whose lease a Pacer renews. Of another one Sent is called for each advert,
// and no Pacer sends any.
type Leaser interface {
	// Hold is the lease, until the owner is told of a state other than Master; nil is that the
	// owner has none at the moment.
	Hold() *pace.Lease
	// Renewed tells that the lease was renewed for an advert that was sent then, or could not be.
	Renewed(at time.Time, err error)
	// HeldUp tells that the instance was master, and has left because it had sent nothing for
	// so long that another director had to take over.
	HeldUp(time.Duration)
}

// ahead is for how long a Pacer sends by itself: as long as this process may be held up before
// another director is to take over.
const ahead = 5 * time.Second

// adverts is how many adverts of an interval that is, at least three.
func adverts(every time.Duration) int { return int(max(3, (ahead+every-1)/every)) }
