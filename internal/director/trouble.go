package director

import (
	"time"

	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/pool"
)

// troubles are the checks that this machine cannot make, by why. They are told of
// together: thousands of checks may lack the same thing at once.
type troubles struct {
	why map[*pool.Checker]string
	by  map[string]*trouble
}

// trouble is one reason, while there are checks that cannot be made for it.
type trouble struct {
	checks, most int
	over         time.Time // when there was no such check any more
}

// troubled hands what a checker's goroutine says to the loop.
func (d *Director) troubled(c *pool.Checker, own *check.OwnError) {
	d.post(func() *cluster.Event {
		d.settleTrouble(c)
		if own != nil && !c.Gone() {
			d.beginTrouble(c, own)
		}
		return nil
	})
}

// beginTrouble notes a check that cannot be made, and tells of the first for its reason.
func (d *Director) beginTrouble(c *pool.Checker, own *check.OwnError) {
	if d.troubles.why == nil {
		d.troubles = troubles{map[*pool.Checker]string{}, map[string]*trouble{}}
	}
	why := own.Error()
	t := d.troubles.by[why]
	if t == nil {
		t = &trouble{}
		d.troubles.by[why] = t
		d.stream.Publish(cluster.ChecksFailHere(c.String(), own, own.Remedy))
	}
	d.troubles.why[c] = why
	t.checks++
	t.most = max(t.most, t.checks)
}

// settleTrouble takes a check out that can be made, or is gone.
func (d *Director) settleTrouble(c *pool.Checker) {
	if why, in := d.troubles.why[c]; in {
		delete(d.troubles.why, c)
		t := d.troubles.by[why]
		t.checks--
		t.over = time.Now()
	}
}

// troubleOver is how long a trouble has to be gone until it is over: one that comes and
// goes from check to check is told of once.
const troubleOver = time.Minute

// endTroubles tells of troubles that are over. The loop calls it each second.
func (d *Director) endTroubles() {
	for why, t := range d.troubles.by {
		if t.checks == 0 && time.Since(t.over) >= troubleOver {
			delete(d.troubles.by, why)
			d.stream.Publish(cluster.ChecksGoOn(why, t.most))
		}
	}
}

// forgetTroubles takes out the checks that a reload has taken away.
func (d *Director) forgetTroubles() {
	for c := range d.troubles.why {
		if c.Gone() {
			d.settleTrouble(c)
		}
	}
}
