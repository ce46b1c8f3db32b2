package check

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Result is a change of a checker's verdict.
type Result struct {
	Up bool
	// Reason is why the server is down; nil when it is up.
	Reason error
	// At is when the last try ended.
	At time.Time
	// Tries is how many checks in a row led to this verdict.
	Tries int
}

// Runner repeats a checker and reports when its verdict changes.
//
//	       first check fails, or retry+1 checks in a row fail
//	up ────────────────────────────────────────────────────────► down
//	 ▲                                                            │
//	 └────────────────────────── one good check ─────────────────┘
//
// It begins up, or down with alpha. Only a server that has passed a check has
// retries: one that fails its very first check is taken out at once.
type Runner struct {
	Checker Checker
	Timing  Timing
	// Report is called by Run's goroutine at each change. The next check waits
	// for its return, so it should only hand the Result on.
	Report func(Result)
	// Log gets each failed try, at level debug.
	Log *slog.Logger
	// Passed says that the server has passed a check before, with other timing: it
	// has its retries from the start.
	Passed bool
}

// Run checks until ctx ends, which is not an error.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.Timing.Validate(); err != nil {
		return fmt.Errorf("%s: %w", r.Checker, err)
	}
	s := standing{up: !r.Timing.Alpha, alive: r.Passed}
	wait := firstDelay
	if r.Timing.Warmup > 0 {
		wait += rand.N(r.Timing.Warmup)
	}
	for sleep(ctx, wait) {
		reason := r.Checker.Check(ctx)
		if ctx.Err() != nil {
			return nil // a check cut short says nothing of the server
		}
		wait = r.judge(&s, reason)
	}
	return nil
}

// standing is what a Runner holds of its server.
type standing struct {
	// up is the verdict as last reported, or as assumed at the start.
	up bool
	// alive is true when a check has borne it out: only then there are retries.
	alive bool
	// failed counts the failed tries since the last verdict.
	failed int
}

// judge takes one check's outcome and returns how long to wait for the next.
func (r *Runner) judge(s *standing, reason error) time.Duration {
	if reason == nil {
		if s.up && !s.alive {
			r.Log.Info("first check passed", "check", r.Checker.String())
		}
		if !s.up {
			r.Report(Result{Up: true, At: time.Now(), Tries: 1})
		}
		*s = standing{up: true, alive: true}
		return r.Timing.DelayLoop
	}
	s.failed++
	r.Log.Debug("check failed", "check", r.Checker.String(), "reason", reason, "try", s.failed)
	if s.alive && s.failed <= r.Timing.Retry {
		return r.Timing.DelayBeforeRetry
	}
	if s.up {
		r.Report(Result{Reason: reason, At: time.Now(), Tries: s.failed})
	}
	*s = standing{}
	return r.Timing.DelayLoop
}

// sleep waits, and returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
