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
	return slices.DeleteFunc(slices.Clone(all), func(c conf.Check) bool { return c.Kind != conf.CheckTCP })
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

func (c *Checker) timing() check.Timing {
	return check.Timing{
		DelayLoop: c.spec.DelayLoop, Retry: c.spec.Retry, DelayBeforeRetry: c.spec.DelayBeforeRetry,
		Warmup: c.spec.Warmup, Alpha: c.spec.Alpha,
	}
}

// TCP is the check that asks for a connection.
func TCP(t Target, timers conf.Timers) check.Checker {
	return check.TCP{Target: t.Connect, Bind: netip.AddrPortFrom(t.Bind, 0), Timeout: timers.ConnectTimeout}
}
