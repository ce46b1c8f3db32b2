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

// mostAtOnce bounds how many events wait for the data plane to follow.
const mostAtOnce = 4096

// loop owns the picture.
func (d *Director) loop(ctx context.Context, watch <-chan netlnk.Event) error {
	defer close(d.stopped)
	d.instances.CheckInterfaces()
	look := time.NewTimer(repairEvery)
	defer look.Stop()
	soon := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-d.events:
			d.handle(e)
		case <-look.C:
			d.repair()
			d.endTroubles()
			look.Reset(repairEvery)
			soon = false
		case report, ok := <-watch:
			if !ok {
				watch = nil // ctx has ended, or the kernel's reports have
				continue
			}
			d.surroundings.heard(report.Kind)
			if report.Kind == netlnk.LinkChanged || report.Kind == netlnk.Overrun {
				d.instances.CheckInterfaces() // not for each of thousands of addresses and routes
			}
			if mayDrift(report.Kind) && !soon {
				look.Reset(repairSoon)
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
		happened = append(happened, d.also...)
		d.also = d.also[:0]
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
	if err := d.machine.Plane.Forwarder.Set(d.plan()); err != nil {
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
