package conn

import (
	"context"
	"time"

	"weir/internal/beat"
	"weir/internal/dataplane/abi"
)

const (
	// sweepLeast is the least time from the beginning of one sweep to that of the next. A
	// connection may be deleted so much later than it expires; with many connections a
	// sweep takes longer.
	sweepLeast = 500 * time.Millisecond
	// sweepAtRest is that time where the last sweep met no connection and no template: one that has
	// come since then is met by the next.
	sweepAtRest = 4 * time.Second
	// The pause after some entries is so many times longer than the look at them, unless
	// many connections have expired.
	restFor   = 60
	restShort = 250 * time.Microsecond
)

// Run sweeps, and makes larger tables when they are needed, until ctx ends. It looks at some slots
// at a time, which takes microseconds, and sleeps in between, so that a sweep takes little of a CPU
// and no packet waits for it: on a kernel without preemption, packets wait for a running program
// and for a thread that does not sleep.
func (t *Table) Run(ctx context.Context) {
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if err := t.growWhenAsked(ctx); err != nil {
			t.log.Error("grow the tables of connections", "error", err)
		}
	}()
	defer func() { <-asked }()
	next := time.NewTimer(sweepLeast)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			pause, err := t.SweepSome()
			if err != nil {
				t.log.Error("sweep connections", "error", err)
			}
			if t.crowded() {
				t.growOrTell(t.crowded)
			}
			next.Reset(pause)
		}
	}
}

// SweepSome looks at some slots, and after the last of them at the caches. It returns
// how long to wait before the next call.
func (t *Table) SweepSome() (pause time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sweeping() {
		t.beginSweep(true)
	}
	begun := time.Now()
	done, due, err := t.sweepOn()
	if err != nil {
		t.beginSweep(true) // another try
		return sweepLeast, err
	}
	switch {
	case !done && due < abi.SweepDue:
		return restFor * time.Since(begun), nil
	case !done: // they are to leave
		return restShort, nil
	}
	err = t.endSweep()
	if least := t.least(); time.Since(t.expiry.begun) < least {
		return beat.Until(least), err
	}
	return time.Millisecond, err
}

// least is the least time from the beginning of the last sweep to that of the next.
func (t *Table) least() time.Duration {
	if c := &t.clients; t.Live() == 0 && c.live == 0 && !c.list && !c.unsure {
		return sweepAtRest
	}
	return sweepLeast
}

// Sweep sweeps everything now. Where every is true, it looks at connections that are
// not due as well.
func (t *Table) Sweep(every bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expiry.all = t.expiry.all || every
	t.beginSweep(true)
	if err := t.sweepAll(); err != nil {
		return err
	}
	return t.endSweep()
}

// sweeping says whether a sweep has begun and not ended.
func (t *Table) sweeping() bool { return t.expiry.sweeping || t.clients.sweeping }

// sweepOn looks at some more expiry entries, of the connections and then of the templates. It
// says whether these were the last, and how many of them were due.
func (t *Table) sweepOn() (done bool, due uint32, err error) {
	if t.expiry.sweeping {
		if done, err := t.sweepExpiry(); !done || err != nil {
			return false, t.expiry.args.Due, err
		}
		due = t.expiry.args.Due
		t.clients.begin(t.epoch.Load(), t.expiry.args.All == 1)
	}
	done, err = t.sweepTemplates() // at once: at rest, one wake-up does for both
	return done, due + t.clients.args.Due, err
}

// sweepAll goes on with a sweep until it has looked at the last slot.
func (t *Table) sweepAll() error {
	for {
		if done, _, err := t.sweepOn(); done || err != nil {
			return err
		}
	}
}

// ExpireRemoved ends the connections and templates of removed servers that are to
// expire with their server, as the kernel does at once
// (ip_vs_expire_nodest_conn_flush, net/netfilter/ipvs/ip_vs_conn.c).
func (t *Table) ExpireRemoved() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expiry.all = true
	t.beginSweep(false)
	return t.sweepAll()
}

// beginSweep begins a sweep, of all that there is or of connections and templates alone.
func (t *Table) beginSweep(whole bool) {
	if whole {
		t.epoch.Add(1)
	}
	t.clients.sweeping = false
	t.expiry.begin(t.epoch.Load(), whole)
}

// endSweep sweeps what no slot tells of, if this is a sweep of all, and then forgets
// removed servers that nothing refers to any more. Where a template may have no entry, or
// an older build's tables have connections, nobody knows whether they refer to one.
func (t *Table) endSweep() error {
	if !t.expiry.whole {
		return nil
	}
	if err := t.sweepCache(); err != nil || t.clients.unsure || t.older.from.Load() {
		return err
	}
	return t.servers.Forget(t.epoch.Load())
}
