package pool

import (
	"context"
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/check"
)

// Checker is one check of a real server, and its verdict.
type Checker struct {
	spec   spec
	down   error // the verdict: nil is up
	passed bool  // up by a check of before
	// of is the member that the verdict counts for; nil once the check is gone.
	of   *member
	stop context.CancelFunc // nil before it runs
}

// spec is what of a check a Checker goes by. The check itself holds on to the whole
// text that it was read from.
type spec struct {
	Target
	conf.Timers
}

// Target is what a check asks.
type Target struct {
	Kind    conf.CheckKind
	Connect netip.AddrPort
	Bind    netip.Addr
}

// String is the check as check.Checker writes it.
func (t Target) String() string { return string(t.Kind) + " " + t.Connect.String() }

// errUnchecked is why a server is out that has not passed a check yet.
type errUnchecked struct{}

func (errUnchecked) Error() string { return "not checked yet" }

// ready are the checks that weir can do; with another one it does not run.
func ready(all []conf.Check) []conf.Check {
	return slices.DeleteFunc(slices.Clone(all), func(c conf.Check) bool {
		row, ok := check.RowOf(c.Kind)
		return !ok || row.Poll == nil
	})
}

func newChecker(c conf.Check) *Checker {
	made := &Checker{spec: spec{Target{c.Kind, c.Connect, c.Bind}, c.Timers}}
	if c.Alpha {
		made.down = errUnchecked{}
	}
	return made
}

// begin has a checker that is new to its server begin up or down. What is down has
// to prove itself soon.
func (c *Checker) begin(up, passed bool) {
	c.spec.Alpha, c.passed, c.down = !up, up && passed, nil
	if !up {
		c.down = errUnchecked{}
		if !passed {
			c.spec.Warmup = 0
		}
	}
}

// timers are when a check asks. How it begins (alpha, warmup) is past for one that
// runs.
func (c *Checker) timers() conf.Timers {
	t := c.spec.Timers
	t.Alpha, t.Warmup = false, 0
	return t
}

// FromRow makes what a target is asked with, by the row of its kind.
func FromRow(t Target, timers conf.Timers) check.Checker {
	row, _ := check.RowOf(t.Kind) // ready has found it
	return row.Poll(conf.Check{Kind: t.Kind, Connect: t.Connect, Bind: t.Bind, Timers: timers})
}
