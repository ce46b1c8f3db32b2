package pool

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"

	"weir/conf"
	"weir/internal/check"
)

// Checker is one check of a real server, and its verdict.
type Checker struct {
	// spec is the configuration's own, which nobody changes; asked is what it begins with.
	spec   *conf.Check
	down   error         // the verdict: nil is up
	weight *check.Weight // nil is the zero Weight
	// alpha and prompt are what begin makes of the keywords alpha and warmup.
	alpha, prompt bool
	passed        bool // up by a check of before
	fresh         bool // down by alpha, and not asked yet
	// of is the member that the verdict counts for; nil once the check is gone.
	of     *member
	stop   context.CancelFunc // nil before it runs
	runner *check.Runner      // nil before it runs
	// doubted says that the verdict waits for a probe.
	doubted bool
	// suspendBy is Pool.suspendBy; nil is none. The loop sets it, and the check's goroutine reads it.
	suspendBy atomic.Pointer[[]netip.Addr]
}

// errUnchecked is why a server is out that has not passed a check yet.
type errUnchecked struct{}

func (errUnchecked) Error() string { return "not checked yet" }

// ready are the checks that weir can do; with another one it does not run.
func ready(all []conf.Check) (list []*conf.Check) {
	for i := range all {
		if _, ok := check.RowOf(all[i].Kind); ok {
			list = append(list, &all[i])
		}
	}
	return list
}

func newChecker(c *conf.Check) *Checker {
	made := &Checker{spec: c, alpha: c.Alpha}
	if c.Alpha {
		made.down, made.fresh = errUnchecked{}, true
	}
	return made
}

// asked is the check as it begins, without the text that it was read from.
func (c *Checker) asked() conf.Check {
	spec := c.spec.Bare()
	spec.Timers = c.timers()
	return spec
}

// timers are those of the check as it begins.
func (c *Checker) timers() conf.Timers {
	t := c.spec.Timers
	t.Alpha = c.alpha
	if c.prompt {
		t.Warmup = 0
	}
	return t
}

// begin has a checker that is new to its server begin up or down. What is down has
// to prove itself soon.
func (c *Checker) begin(up, passed bool) {
	c.alpha, c.passed, c.down, c.fresh = !up, up && passed, nil, false
	if !up {
		c.down = errUnchecked{}
		if !passed {
			c.prompt = true
		}
	}
}

// goesOn tells whether a check is still the one that another configuration has: how it
// begins (alpha, warmup) is past for one that runs.
func (c *Checker) goesOn(next *Checker) bool {
	if c.spec.Kind.IsOwn() {
		a, b := *c.spec, *next.spec
		a.Alpha, a.Warmup, b.Alpha, b.Warmup = false, 0, false, 0
		return reflect.DeepEqual(a, b)
	}
	return !slices.ContainsFunc(conf.CompareCheck(c.spec, next.spec), func(c conf.Change) bool { return c.Trait != conf.AtStart })
}

// asksTheSame tells whether a check asks the same as another, be it at other times.
func (c *Checker) asksTheSame(other *Checker) bool {
	if c.spec.Kind != other.spec.Kind {
		return false
	}
	a, b := *c.spec, *other.spec
	a.Timers, b.Timers = conf.Timers{}, conf.Timers{}
	if a.Kind.IsOwn() {
		return reflect.DeepEqual(a, b)
	}
	return len(conf.CompareCheck(&a, &b)) == 0
}

// ownOf are the checks of the weir block.
func ownOf(all []*Checker) (own []*Checker) {
	for _, c := range all {
		if c.spec.Kind.IsOwn() {
			own = append(own, c)
		}
	}
	return own
}

// Gone says whether a reload has taken the check away.
func (c *Checker) Gone() bool { return c.of == nil }

// Pool is the pool that the checker's verdict counts for; nil once the check is gone.
func (c *Checker) Pool() *Pool {
	if c.of == nil {
		return nil
	}
	return c.of.pool
}

// String is the check as check.Checker writes it.
func (c *Checker) String() string { return check.Title(*c.spec) }

// FromRow makes what a check asks with, by the row of its kind. What checks share may
// change while they run.
func FromRow(c conf.Check, shared *check.Shared) check.Checker {
	row, _ := check.RowOf(c.Kind) // ready has found it
	return row.Poll(c, shared)
}

// SourceFromRow is FromRow for a check of a kind that is told.
func SourceFromRow(c conf.Check, shared *check.Shared) check.Source {
	row, _ := check.RowOf(c.Kind) // ready has found it
	return row.Follow(c, shared)
}
