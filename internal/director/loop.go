package director

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/netlnk"
)

// ErrStopped says that the director runs no more.
var ErrStopped = errors.New("weir is stopping")

// lookEvery is how often the loop looks around even when nothing was heard, and repairEvery
// how often it then compares the machine's addresses and settings with what they are to be.
// Without VRRP instances it does both together.
const (
	lookEvery   = time.Second
	repairEvery = 2 * time.Second
)

// nextLook is how long it is to the next look where nothing is heard.
func (d *Director) nextLook() time.Duration {
	if d.instances.Len() == 0 {
		return beat.Until(repairEvery)
	}
	return beat.Until(lookEvery)
}

// repairSoon is how soon they are where the kernel reports that one has changed: it
// gathers reports that come together.
const repairSoon = 10 * time.Millisecond

// repairRest is how many times as long as a look took the loop waits at least before the
// next one that a report asks for, at most lookEvery.
const repairRest = 4

// stateWanted names what a panic is told with.
const stateWanted = "the wanted state of the data plane"

// mostAtOnce bounds how many events wait for the data plane to follow.
const mostAtOnce = 4096

// loop owns the picture.
func (d *Director) loop(ctx context.Context, watch <-chan netlnk.Event) error {
	defer close(d.stopped)
	look := time.NewTimer(0) // at once: the surroundings may have changed since they were looked at
	d.surroundings.heard(netlnk.Overrun)
	defer look.Stop()
	soon, drifted, repaired := true, true, time.Time{}
	step := time.NewTimer(time.Hour) // of slow_start
	defer step.Stop()
	for {
		if wait, rising := d.slowStarters.NextStep(time.Now()); rising {
			step.Reset(wait)
		}
		select {
		case <-step.C:
			d.carefully("a step of a slow start", func() { d.following.soon(nil) })
		case <-ctx.Done():
			if d.following.wanted {
				d.carefully("the last state of the data plane", d.following.handOverNow)
			}
			return nil
		case e := <-d.events:
			d.handle(e)
		case took := <-d.following.took:
			d.carefully(stateWanted, func() { d.following.followed(took) })
		case <-d.following.timer.C:
			d.carefully(stateWanted, d.following.handOver)
		case <-look.C:
			d.carefully("a look at the surroundings", d.follow)
			// Not for each of many routes, and not later than it is due at the next look.
			if drifted || time.Since(repaired)+d.nextLook() > repairEvery+repairSoon {
				d.carefully("the repair of addresses", d.repair)
				repaired = time.Now()
			}
			d.carefully("a look at the data plane's devices", d.lookForBroken)
			d.carefully("the addresses that other machines claim", d.noteConflicts)
			d.carefully("the question who else has an address", d.askForConflicts)
			d.carefully("the directors that are heard no more", d.forgetDirectors)
			d.carefully("the end of troubles", d.endTroubles)
			look.Reset(d.surroundings.rest(d.nextLook()))
			soon, drifted = false, false
		case report, ok := <-watch:
			if !ok {
				watch = nil // ctx has ended, or the kernel's reports have
				continue
			}
			drifted = drifted || mayDrift(report.Kind)
			if d.surroundings.heard(report.Kind) && !soon {
				look.Reset(d.surroundings.rest(min(max(repairSoon, repairRest*d.surroundings.took), lookEvery)))
				soon = true
			}
		}
	}
}

// adoptedFor is how long the directors that an earlier process had heard are known: by then
// this process has heard them itself.
const adoptedFor = time.Minute

// forgetDirectors has the data plane forget directors that are heard no more.
func (d *Director) forgetDirectors() {
	some := d.instances.ForgetDirectors()
	if len(d.adopted) > 0 && time.Since(d.began) > adoptedFor {
		d.adopted, some = nil, true
	}
	if !some {
		return
	}
	d.following.soon(nil)
}

// mayDrift says whether addresses may have changed by what a report tells of. Where thousands
// change at once, some of the reports are lost.
func mayDrift(k netlnk.Kind) bool {
	return k == netlnk.AddressChanged || k == netlnk.LinkChanged || k == netlnk.Overrun
}

// handle takes in an event and those that wait behind it, and has the data plane
// follow them all at once: a rack that goes down is one change of the tables.
func (d *Director) handle(e event) {
	d.asked = false
	var happened []cluster.Event
	for n := 0; e != nil; n++ {
		d.carefully("an event", func() {
			if what := e(); what != nil {
				happened = append(happened, *what)
			}
		})
		happened = append(happened, d.also...)
		d.also = d.also[:0]
		e = nil
		if n < mostAtOnce && !d.asked { // what happened before a turn of a reload does not wait for the next
			select {
			case e = <-d.events:
			default:
			}
		}
	}
	d.carefully("quorums that instances follow", d.followQuorums)
	if len(happened) > 0 {
		d.carefully(stateWanted, func() { d.following.soon(happened) })
	}
}

// stepDownAfter is for how long the data plane has to be off a device before masters that need
// it step down: it is attached again within a second where it can be.
const stepDownAfter = 5 * time.Second

// lookForBroken has masters step down whose data plane does not work.
func (d *Director) lookForBroken() {
	broken := map[string]string{}
	if d.machine.Plane.Off != nil && len(d.pools) > 0 {
		for device, off := range d.machine.Plane.Off() {
			if time.Since(off.Since) >= stepDownAfter {
				broken[device] = off.Why
			}
		}
	}
	d.instances.LookForBroken(broken)
}

// followQuorums has the instances follow the quorums where one may have changed since it was
// called last: once for many verdicts.
func (d *Director) followQuorums() {
	if d.decided && setQuorums(d.cfg.VRRPInstances, d.pools, d.instances) {
		d.instances.Settle()
	}
	d.decided = false
}

// post hands an event to the loop, unless it has stopped.
func (d *Director) post(e event) {
	select {
	case d.events <- e:
	case <-d.stopped:
	}
}

// ask has the loop's goroutine answer. With an error it may not have, or do so later; a
// *cluster.Panic says that it panicked while it did.
func (d *Director) ask(ctx context.Context, doing string, question func()) error {
	answered := make(chan error, 1)
	select {
	case d.events <- func() *cluster.Event {
		d.asked = true
		if caught := d.carefully(doing, question); caught != nil {
			answered <- caught
		}
		close(answered)
		return nil
	}:
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answered:
		return err
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// carefully does something of the director's, and catches and tells of a panic, which is a
// mistake in weir: the director goes on. One that comes again is told of once in an hour.
// Any goroutine may call it.
func (d *Director) carefully(doing string, do func()) *cluster.Panic {
	caught := cluster.Carefully(doing, do)
	if caught == nil {
		return nil
	}
	if d.panics.tells(caught.At) {
		d.stream.Publish(cluster.PanicCaught(caught))
	}
	return caught
}

// panics are when one from a line of weir's was told of.
type panics struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

// tells says whether one from this line is to be told of, and notes that it is.
func (p *panics) tells(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, told := p.last[line]; told && time.Since(last) < time.Hour {
		return false
	}
	if p.last == nil {
		p.last = map[string]time.Time{}
	}
	p.last[line] = time.Now()
	return true
}
