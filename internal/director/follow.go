package director

import (
	"time"

	"weir/internal/cluster"
)

// followRest is how many times as long as the data plane took to follow the loop lets it rest
// before it hands over the next state, and mostRest the most of it. Each state is a whole
// one: without the rest, thousands of verdicts one after the other would cost as many times
// the configuration. A verdict that comes alone is handed over at once.
const (
	followRest = 4
	mostRest   = 250 * time.Millisecond
)

// followers are the changes that the data plane has not been told to follow yet. The loop
// alone uses them.
type followers struct {
	// hand has the data plane follow the picture. It has what happened told, and a value put
	// into took, once it has followed.
	hand func(happened []cluster.Event, took chan<- time.Duration)
	// wanted says that the picture has changed, and happened is what to tell when the data
	// plane has followed it.
	wanted   bool
	happened []cluster.Event
	// under says that the data plane is on the way to a state, and took gets how long that
	// took. Until rested no other one is handed over.
	under  bool
	took   chan time.Duration
	rested time.Time
	timer  *time.Timer // fires at rested, where something is wanted
}

func newFollowers(hand func([]cluster.Event, chan<- time.Duration)) followers {
	f := followers{hand: hand, took: make(chan time.Duration, 1), timer: time.NewTimer(time.Hour)}
	f.timer.Stop()
	return f
}

// soon has the data plane follow, at once or when it has rested.
func (f *followers) soon(happened []cluster.Event) {
	f.wanted, f.happened = true, append(f.happened, happened...)
	f.next()
}

// next hands the picture over where something is to follow and the data plane has rested.
func (f *followers) next() {
	if !f.wanted || f.under {
		return
	}
	if rest := time.Until(f.rested); rest > 0 {
		f.timer.Reset(rest)
		return
	}
	f.now()
}

// now hands the picture over.
func (f *followers) now() {
	happened := f.happened
	f.wanted, f.happened = false, nil
	f.hand(happened, f.took)
	f.under = true // not before: a panic comes from hand
}

// followed notes that the data plane has followed, and how long that took.
func (f *followers) followed(took time.Duration) {
	f.under, f.rested = false, time.Now().Add(min(followRest*took, mostRest))
	f.next()
}
