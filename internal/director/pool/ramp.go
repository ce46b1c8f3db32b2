package pool

import (
	"math"
	"time"

	"weir/conf"
)

// A server that comes in begins with a small share, which rises to its own in the time of
// slow_start: its caches are cold. Weights are whole numbers, so that while a server of a
// pool rises all weights of the pool are multiplied, which leaves the shares of the others to
// each other as they are.
const (
	// leastSteps is how many steps a rise has at least: a weight is off by half a step.
	leastSteps = 20
	// mostSteps bounds how often the data plane's tables change for it.
	mostSteps = 100
)

// ramp is the rise of a pool's servers at one moment.
type ramp struct {
	now   time.Time
	over  time.Duration
	scale int
}

// rampAt works out by how much the pool's weights are multiplied; ok is false where no
// server rises.
func (p *Pool) rampAt(now time.Time) (r ramp, ok bool) {
	r = ramp{now, 0, 1}
	if !conf.SharesByWeight(p.conf.Scheduler) {
		return r, false
	}
	whole := p.wholes()
	r.over, r.scale = p.conf.Beyond.SlowStart, whole
	most := 1
	for _, m := range p.members {
		w := m.times(whole)
		most = max(most, w)
		if w > 0 && m.rises(r) {
			ok = true
			r.scale = max(r.scale, whole*((leastSteps+w-1)/w))
		}
	}
	if most > math.MaxInt32/(r.scale/whole) {
		r.scale = 1
	}
	return r, ok
}

// steps is how many there are in the rise of a member's weight.
func (r ramp) steps(m *member) int { return min(max(m.times(r.scale), leastSteps), mostSteps) }

// step is on which step of its rise a member is: all of them once it has risen.
func (m *member) step(r ramp) (step, of int) {
	of = r.steps(m)
	passed := max(r.now.Sub(m.rising), 0)
	if m.rising.IsZero() || passed >= r.over {
		return of, of
	}
	return min(int(math.Round(float64(passed)/float64(r.over)*float64(of))), of), of
}

// rises says whether the member's share has not come to what it is to be.
func (m *member) rises(r ramp) bool {
	if m.rising.IsZero() || !m.in() {
		return false
	}
	step, of := m.step(r)
	return step < of
}

// weigh is a member's weight in the data plane: 1 at least, where it gets connections at all.
func (r ramp) weigh(m *member) int {
	weight := m.times(r.scale)
	if weight == 0 || !m.rises(r) {
		return weight
	}
	step, of := m.step(r)
	return max(int(math.Round(float64(weight)*float64(step)/float64(of))), 1)
}

// SlowStarters are the pools whose servers come in by slow_start.
func (all Pools) SlowStarters() (some Pools) {
	for _, p := range all {
		if p.conf.Beyond.SlowStart > 0 {
			some = append(some, p)
		}
	}
	return some
}

// NextStep is how long it takes from now until the weight of a rising server changes; ok is
// false where none rises. The pools are SlowStarters.
func (all Pools) NextStep(now time.Time) (wait time.Duration, ok bool) {
	wait = math.MaxInt64
	for _, p := range all {
		r, rising := p.rampAt(now)
		if !rising {
			continue
		}
		for _, m := range p.members {
			if !m.rises(r) {
				continue
			}
			step, of := m.step(r)
			at := m.rising.Add(time.Duration((float64(step) + 0.5) / float64(of) * float64(r.over)))
			wait, ok = min(wait, max(at.Sub(now), time.Millisecond)), true
		}
	}
	return wait, ok
}
