package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/beat"
	"weir/internal/dataplane/abi"
)

const (
	// sweepLeast is the least time from the beginning of one sweep to that of the next. A
	// connection may be deleted so much later than it expires; with many connections a
	// sweep takes longer.
	sweepLeast = 500 * time.Millisecond
	// Templates have no expiry entries: they are looked at less often
	// where they are many.
	templateMost = 3500 * time.Millisecond
	perTemplate  = 3500 * time.Nanosecond
	// The pause after some entries is so many times longer than the look at them, unless
	// many connections have expired.
	restFor   = 60
	restShort = 250 * time.Microsecond
)

// Run sweeps until ctx ends. It looks at some expiry entries at a time, which takes
// microseconds, and sleeps in between, so that a sweep takes little of a CPU and no packet
// waits for it: on a kernel without preemption, packets wait for a running program and for
// a thread that does not sleep.
func (t *Table) Run(ctx context.Context) {
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
			next.Reset(pause)
		}
	}
}

// SweepSome looks at some expiry entries, and after the last of them at the templates and
// the caches. It returns how long to wait before the next call.
func (t *Table) SweepSome() (pause time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.expiry.sweeping {
		t.beginSweep(time.Since(t.swept) >= pauseFor(t.templates))
	}
	begun := time.Now()
	done, err := t.sweepExpiry()
	if err != nil {
		t.beginSweep(true) // another try
		return sweepLeast, err
	}
	switch {
	case !done && t.expiry.args.Due < abi.SweepDue:
		return restFor * time.Since(begun), nil
	case !done: // they are to leave
		return restShort, nil
	}
	err = t.endSweep()
	if time.Since(t.expiry.begun) < sweepLeast {
		return beat.Until(sweepLeast), err
	}
	return time.Millisecond, err
}

// pauseFor is the time between two sweeps of so many templates.
func pauseFor(templates int) time.Duration {
	return min(max(sweepLeast, time.Duration(templates)*perTemplate), templateMost)
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

// sweepAll goes on with a sweep until it has looked at the last expiry entry.
func (t *Table) sweepAll() error {
	for {
		if done, err := t.sweepExpiry(); done || err != nil {
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
	if err := t.sweepAll(); err != nil {
		return err
	}
	return t.sweepTemplates()
}

// beginSweep begins a sweep, of all that there is or of the connections alone.
func (t *Table) beginSweep(whole bool) {
	if whole {
		t.epoch.Add(1)
		t.swept = time.Now()
	}
	t.expiry.begin(t.epoch.Load(), whole)
}

// endSweep sweeps what has no expiry entry, if this is a sweep of all, and then forgets
// removed servers that nothing refers to any more.
func (t *Table) endSweep() error {
	if !t.expiry.whole {
		return nil
	}
	return errors.Join(t.sweepTemplates(), t.sweepCache(), t.servers.Forget(t.epoch.Load()))
}

// sweepTemplates deletes the templates whose time is over.
func (t *Table) sweepTemplates() error {
	if t.templates == 0 && !t.servers.Persistent() {
		return nil
	}
	args := abi.BpfSweep{Epoch: t.epoch.Load(), Now: Tick()}
	if _, err := t.programs.Templates.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return fmt.Errorf("sweep the templates: %w", err)
	}
	t.templates = int(args.Live)
	return nil
}
