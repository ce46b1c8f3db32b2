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

	// handTo hands the picture to the data plane, and does not wait until that has followed.
	handTo func(then func(err error))
	tell   func(cluster.Event)
}

func newFollowers(handTo func(then func(err error)), tell func(cluster.Event)) followers {
	f := followers{took: make(chan time.Duration, 1), timer: time.NewTimer(time.Hour), handTo: handTo, tell: tell}
	f.timer.Stop()
	return f
}

// soon has the data plane follow the picture, and then tells what happened. It does not wait
// for that.
func (f *followers) soon(happened []cluster.Event) {
	f.wanted, f.happened = true, append(f.happened, happened...)
	f.handOver()
}

// handOver hands the picture to the data plane where that has rested and something is to
// follow.
func (f *followers) handOver() {
	if !f.wanted || f.under {
		return
	}
	if rest := time.Until(f.rested); rest > 0 {
		f.timer.Reset(rest)
		return
	}
	f.handOverNow()
}

func (f *followers) handOverNow() {
	begun, happened, took, tell := time.Now(), f.happened, f.took, f.tell
	f.wanted, f.happened = false, nil
	f.handTo(func(err error) {
		if err != nil {
			tell(cluster.PlaneSetFailed(err))
		}
		for _, what := range happened {
			tell(what)
		}
		select {
		case took <- time.Since(begun):
		default: // the loop has ended
		}
	})
	f.under = true // not before: a panic comes from there
}

// followed notes that the data plane has followed, and how long that took.
func (f *followers) followed(took time.Duration) {
	f.under = false
	f.rested = time.Now().Add(min(followRest*took, mostRest))
	f.handOver()
}
