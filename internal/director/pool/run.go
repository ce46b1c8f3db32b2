package pool

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
)

// Checks runs the checkers of pools.
type Checks struct {
	// New makes what a check asks with; FromRow is one.
	New func(conf.Check) check.Checker
	// Follow makes what a check is told by, of a kind that does not ask; SourceFromRow is
	// one.
	Follow func(conf.Check) check.Source
	// Start has a Runner check until it is stopped.
	Start func(*check.Runner) (stop context.CancelFunc)
	// Run runs a task beside the others until it is stopped: a Source.
	Run func(task func(context.Context) error) (stop context.CancelFunc)
	// Report hands a result to the loop, which calls Judge. A goroutine of the check calls
	// it.
	Report func(*Checker, check.Verdict)
	// Trouble is told when this machine cannot make a check, and with nil when it can
	// again. A goroutine of the check calls it.
	Trouble func(*Checker, *check.OwnError)
	// Here says whether this machine has an address; nil is every one. Goroutines of the
	// checks call it.
	Here func(netip.Addr) bool
	// Loud is checker_log_all_failures. The loop sets it, and the checks' goroutines
	// read it.
	Loud *atomic.Bool
	// Slots bounds how many checks are made at once; nil does not.
	Slots chan struct{}
	Log   *slog.Logger
}

// Set has the checkers of the next pools run, and those that only the pools of before
// have run no more. From then on the members of next count.
func (k *Checks) Set(was, next Pools) {
	k.RunAll(next)
	k.StopAllBut(next.Set(), was)
}

// RunAll has the checkers of pools run, and has their members count. Pools may be run some at
// a time: a verdict of one that is not run yet counts for the pool before (see CatchUp).
func (k *Checks) RunAll(pools Pools) {
	for _, p := range pools {
		p.before = nil
		by := p.suspendBy()
		for _, m := range p.members {
			m.pool = p
			for _, c := range m.checkers {
				c.of = m
				c.suspendBy.Store(by)
				if c.stop == nil {
					c.stop = k.begin(c)
				}
			}
		}
	}
}

// Set is pools as a set.
type Set map[*Pool]bool

// Set makes a set of the pools.
func (all Pools) Set() Set {
	set := make(Set, len(all))
	for _, p := range all {
		set[p] = true
	}
	return set
}

// Part is the pools from this one on until they have so many real servers, and which one is
// next; that is 0 after the last.
func (all Pools) Part(from, servers int) (part Pools, next int) {
	for i := from; i < len(all); i++ {
		if servers -= 1 + len(all[i].members); servers <= 0 && i+1 < len(all) {
			return all[from : i+1], i + 1
		}
	}
	return all[from:], 0
}

// StopAllBut stops those checkers of pools whose verdicts count for none of these, all of
// which are run.
func (k *Checks) StopAllBut(stay Set, pools Pools) {
	pools.eachChecker(func(_ *Pool, _ *member, c *Checker) {
		if c.of == nil || !stay[c.of.pool] {
			c.of = nil
			c.stop()
		}
	})
}

func (all Pools) eachChecker(do func(*Pool, *member, *Checker)) {
	for _, p := range all {
		for _, m := range p.members {
			for _, c := range m.checkers {
				do(p, m, c)
			}
		}
	}
}

// begin has a check ask, or be told, until it is stopped.
func (k *Checks) begin(c *Checker) (stop context.CancelFunc) {
	if row, _ := check.RowOf(c.spec.Kind); row.Follow == nil {
		c.runner = k.runner(c)
		return k.Start(c.runner)
	}
	source := k.Follow(c.asked())
	return k.Run(func(ctx context.Context) error {
		return source.Run(ctx, func(r check.Verdict) { k.Report(c, r) })
	})
}

func (k *Checks) runner(c *Checker) *check.Runner {
	asks := k.New(c.asked())
	c.resume(asks)
	return &check.Runner{
		Checker: suspendable{asks, k, c}, Timing: check.TimingOf(c.timers()), Passed: c.passed, Weight: c.weight,
		Report:  func(r check.Verdict) { k.Report(c, r) },
		Trouble: func(own *check.OwnError) { k.Trouble(c, own) },
		Slots:   k.Slots,
		Log:     k.Log, Loud: func() bool { return c.spec.LogAllFailures || k.Loud.Load() },
	}
}

// Judge takes in a checker's new verdict. Where its real server comes in or goes out by
// it, or has another weight, the services change, and there is something to tell.
func (c *Checker) Judge(r check.Verdict) *cluster.Event {
	m := c.of
	if m == nil {
		return nil // a reload has taken the check away
	}
	was, weight, doubted, said := m.in(), m.weight(), m.doubted(), m.agent()
	m.pool.services = nil
	c.down, c.weight, c.doubted = r.Reason, r.Weight.Kept(), false
	switch {
	case was && m.in() && m.weight() == weight && doubted && !m.doubted():
		e := cluster.ServerAnswers(m.pool.name, m.server.AddrPort())
		return &e
	case m.in() == was && (!was || m.weight() == weight) && m.agent() == said:
		return nil
	case m.in() == was && (!was || m.weight() == weight):
		e := cluster.AgentSays(m.pool.name, m.server.AddrPort(), m.agent().String(), m.agent().Amiss)
		return &e
	case m.in() == was:
		m.pool.settle()
		e := cluster.ServerWeight(m.pool.name, m.server.AddrPort(), weight, m.weight(), m.why())
		return &e
	}
	m.since = r.At
	m.pool.settle()
	e := cluster.ServerUp(m.pool.name, m.server.AddrPort())
	if m.in() {
		m.rising = time.Now()
	} else {
		e = cluster.ServerDown(m.pool.name, m.server.AddrPort(), r.Reason, r.Tries)
	}
	e.Checker = string(c.spec.Kind)
	return &e
}

// Validate holds the checks that are to begin to what a check.Runner can do.
func (all Pools) Validate() (err error) {
	all.eachChecker(func(_ *Pool, m *member, c *Checker) {
		if c.stop != nil || err != nil {
			return
		}
		if e := check.TimingOf(c.timers()).Validate(); e != nil {
			err = fmt.Errorf("virtual server %s: real server %s: %w", m.pool.name, m.server.AddrPort(), e)
		}
	})
	return err
}
