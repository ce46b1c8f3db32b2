package director

import (
	"context"
	"errors"
	"time"

	"weir/internal/cluster"
	"weir/internal/netlnk"
)

// ErrStopped says that the director runs no more.
var ErrStopped = errors.New("weir is stopping")

// repairEvery is how often the machine's addresses are compared with what they are
// to be, even when nothing was heard of them.
const repairEvery = time.Second

// repairSoon is how soon they are where the kernel reports that one has changed: it
// gathers reports that come together.
const repairSoon = 10 * time.Millisecond

// repairRest is how many times as long as a look took the loop waits at least before the
// next one that a report asks for, at most repairEvery.
const repairRest = 4

// mostAtOnce bounds how many events wait for the data plane to follow.
const mostAtOnce = 4096

// loop owns the picture.
func (d *Director) loop(ctx context.Context, watch <-chan netlnk.Event) error {
	defer close(d.stopped)
	look := time.NewTimer(0) // at once: the surroundings may have changed since they were looked at
	d.surroundings.heard(netlnk.Overrun)
	defer look.Stop()
	soon, drifted, repaired := true, true, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-d.events:
			d.handle(e)
		case <-look.C:
			d.follow()
			if drifted || time.Since(repaired) >= repairEvery { // not for each of many routes
				d.repair()
				repaired = time.Now()
			}
			d.endTroubles()
			look.Reset(repairEvery)
			soon, drifted = false, false
		case report, ok := <-watch:
			if !ok {
				watch = nil // ctx has ended, or the kernel's reports have
				continue
			}
			drifted = drifted || mayDrift(report.Kind)
			if d.surroundings.heard(report.Kind) && !soon {
				look.Reset(min(max(repairSoon, repairRest*d.surroundings.took), repairEvery))
				soon = true
			}
		}
	}
}

// mayDrift says whether addresses may have changed by what a report tells of. Where thousands
// change at once, some of the reports are lost.
func mayDrift(k netlnk.Kind) bool {
	return k == netlnk.AddressChanged || k == netlnk.LinkChanged || k == netlnk.Overrun
}

// handle takes in an event and those that wait behind it, and has the data plane
// follow them all at once: a rack that goes down is one change of the tables.
func (d *Director) handle(e event) {
	var happened []cluster.Event
	for n := 0; e != nil; n++ {
		if what := e(); what != nil {
			happened = append(happened, *what)
		}
		e = nil
		if n < mostAtOnce {
			select {
			case e = <-d.events:
			default:
			}
		}
	}
	if len(happened) == 0 {
		return
	}
	if err := d.plane.Set(d.plan()); err != nil {
		d.stream.Publish(cluster.PlaneSetFailed(err))
	}
	for _, what := range happened {
		d.stream.Publish(what)
	}
}

// post hands an event to the loop, unless it has stopped.
func (d *Director) post(e event) {
	select {
	case d.events <- e:
	case <-d.stopped:
	}
}

// ask has the loop's goroutine answer. With an error it may not have, or do so later.
func (d *Director) ask(ctx context.Context, question func()) error {
	answered := make(chan struct{})
	select {
	case d.events <- func() *cluster.Event {
		defer close(answered)
		question()
		return nil
	}:
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-answered:
		return nil
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
