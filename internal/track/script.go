package track

import (
	"context"
	"log/slog"
	"time"

	"weir/conf"
	"weir/internal/script"
)

// scriptSpec is a vrrp_script.
type scriptSpec struct {
	command           script.Command
	interval, timeout time.Duration
	rise, fall        int
	initFail          bool
}

func scriptOf(s *conf.TrackScript) scriptSpec {
	return scriptSpec{
		command:  script.CommandOf(s.Script.As(s.User)),
		interval: s.Interval, timeout: s.Timeout, rise: s.Rise, fall: s.Fall, initFail: s.InitFail,
	}
}

// scriptTracker runs a program again and again: at once, and then at each interval, unless
// it still runs. Exit code 0 in time is a success.
type scriptTracker struct {
	scriptSpec
	name  string
	rules func() *script.Rules
	log   *slog.Logger
	tally tally
}

// First is known with init_fail only: it fails until it has succeeded often enough.
func (t *scriptTracker) First() (Verdict, bool) {
	t.tally = tally{rise: t.rise, fall: t.fall, known: t.initFail}
	return Verdict{}, t.initFail
}

func (t *scriptTracker) Run(ctx context.Context, report func(Verdict)) {
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	broken := ""
	for {
		result, err := t.command.Run(ctx, t.rules(), t.timeout)
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != broken {
			broken = err.Error()
			t.log.Warn("a tracked script cannot be run", "vrrp_script", t.name, "error", err)
		}
		if changed := t.tally.count(err == nil && result.Code == 0 && !result.Late); changed {
			report(Verdict{Good: t.tally.good})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tally counts runs. The first one decides alone; after that, fall failures in a row make it
// bad and rise successes in a row good, as in keepalived's vrrp_script_child_thread.
type tally struct {
	rise, fall int
	known      bool // a run, or init_fail, has decided
	good       bool
	row        int // runs in a row that speak against what is known
}

// count takes in a run, and says whether what is known has changed.
func (t *tally) count(success bool) (changed bool) {
	if t.known && success == t.good {
		t.row = 0
		return false
	}
	t.row++
	need := t.rise
	if t.good {
		need = t.fall
	}
	if t.known && t.row < need {
		return false
	}
	t.known, t.good, t.row = true, success, 0
	return true
}
