package director

import (
	"context"
	"net/netip"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
)

// probe is one check of a member, and its verdict.
type probe struct {
	check  checkSpec
	down   error // nil is up
	passed bool  // up by a check of before
	// of is the member that the verdict counts for; nil once the check is gone.
	of   *member
	stop context.CancelFunc // nil before it runs
}

// checkSpec is what of a check a probe goes by. The check itself holds on to the whole
// text that it was read from.
type checkSpec struct {
	probeTarget
	conf.Timers
}

// probeTarget is what a check asks.
type probeTarget struct {
	Kind    conf.CheckKind
	Connect netip.AddrPort
	Bind    netip.Addr
}

// String is the check as check.Checker writes it.
func (t probeTarget) String() string { return string(t.Kind) + " " + t.Connect.String() }

// errUnchecked is why a server is out that has not passed a check yet.
type errUnchecked struct{}

func (errUnchecked) Error() string { return "not checked yet" }

func newProbe(c conf.Check) *probe {
	p := &probe{check: checkSpec{probeTarget{c.Kind, c.Connect, c.Bind}, c.Timers}}
	if c.Alpha {
		p.down = errUnchecked{}
	}
	return p
}

// begin has a probe that is new to its server begin up or down. What is down has
// to prove itself soon.
func (p *probe) begin(up, passed bool) {
	p.check.Alpha, p.passed, p.down = !up, up && passed, nil
	if !up {
		p.down = errUnchecked{}
		if !passed {
			p.check.Warmup = 0
		}
	}
}

// timers are when a check asks. How it begins (alpha, warmup) is past for one that
// runs.
func (p *probe) timers() conf.Timers {
	t := p.check.Timers
	t.Alpha, t.Warmup = false, 0
	return t
}

func (d *Director) runner(p *probe) *check.Runner {
	c := p.check
	return &check.Runner{
		Checker: check.TCP{Target: c.Connect, Bind: netip.AddrPortFrom(c.Bind, 0), Timeout: c.ConnectTimeout},
		Timing: check.Timing{
			DelayLoop: c.DelayLoop, Retry: c.Retry, DelayBeforeRetry: c.DelayBeforeRetry,
			Warmup: c.Warmup, Alpha: c.Alpha,
		},
		Passed: p.passed,
		Report: func(r check.Result) {
			d.post(func(d *Director) func() { return d.checked(p, r) })
		},
		Log: d.log,
	}
}

// checked takes in a check's new verdict.
func (d *Director) checked(p *probe, r check.Result) (then func()) {
	m := p.of
	if m == nil {
		return nil // a reload has taken the check away
	}
	was := m.in()
	p.down = r.Reason
	if m.in() == was {
		return nil
	}
	m.since = r.At
	e := cluster.ServerUp(m.pool.name, m.server.AddrPort())
	if !m.in() {
		e = cluster.ServerDown(m.pool.name, m.server.AddrPort(), r.Reason, r.Tries)
	}
	return func() { d.stream.Publish(e) }
}

// setProbes has the checks of these pools run, and no other.
func (d *Director) setProbes(pools []*pool) {
	wanted := map[*probe]bool{}
	for _, pool := range pools {
		for _, m := range pool.members {
			m.pool = pool
			for _, p := range m.probes {
				p.of, wanted[p] = m, true
				if p.stop == nil {
					p.stop = d.start(d.runner(p).Run)
				}
			}
		}
	}
	for _, pool := range d.pools {
		for _, m := range pool.members {
			for _, p := range m.probes {
				if !wanted[p] {
					p.of = nil
					p.stop()
				}
			}
		}
	}
}
