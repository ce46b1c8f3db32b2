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
}

func newFollowers() followers {
	f := followers{took: make(chan time.Duration, 1), timer: time.NewTimer(time.Hour)}
	f.timer.Stop()
	return f
}

// setSoon has the data plane follow the picture, and then tells what happened. It does not
// wait for that.
func (d *Director) setSoon(happened []cluster.Event) {
	d.following.wanted, d.following.happened = true, append(d.following.happened, happened...)
	d.handOver()
}

// handOver hands the picture to the data plane where that has rested and something is to
// follow.
func (d *Director) handOver() {
	f := &d.following
	if !f.wanted || f.under {
		return
	}
	if rest := time.Until(f.rested); rest > 0 {
		f.timer.Reset(rest)
		return
	}
	d.handOverNow()
}

func (d *Director) handOverNow() {
	f, begun := &d.following, time.Now()
	happened, took := f.happened, f.took
	f.wanted, f.happened = false, nil
	plan := d.plan()
	f.under = true // not before: a panic comes from there
	d.plane.Soon(plan, func(err error) {
		if err != nil {
			d.stream.Publish(cluster.PlaneSetFailed(err))
		}
		for _, what := range happened {
			d.stream.Publish(what)
		}
		select {
		case took <- time.Since(begun):
		default: // the loop has ended
		}
	})
}

// followed notes that the data plane has followed, and how long that took.
func (d *Director) followed(took time.Duration) {
	d.following.under = false
	d.following.rested = time.Now().Add(min(followRest*took, mostRest))
	d.handOver()
}
