package track

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"weir/conf"
)

// processSpec is a vrrp_track_process.
type processSpec struct {
	name string
	// arguments are compared as match says: exact, initial (the last one may go on) or
	// partial (more may follow). Empty is that they do not matter.
	arguments      []string
	match          string
	full           bool // compare the name with the whole command, not with the kernel's name
	quorum, most   int
	fork, terminal time.Duration
}

// exact is how arguments are compared where the file does not say.
const exact = "exact"

func processOf(p *conf.TrackProcess) processSpec {
	s := processSpec{
		match: p.ParamMatch, quorum: p.Quorum, most: p.QuorumMax,
		fork: p.ForkDelay, terminal: p.TerminateDelay, full: p.FullCommand,
	}
	if !p.Has("quorum_max") {
		s.most = math.MaxInt
	}
	if len(p.Process) > 0 {
		s.name, s.arguments = p.Process[0], p.Process[1:]
	}
	if s.match == "" && len(s.arguments) > 0 {
		s.match = exact
	}
	s.full = s.full || s.match != ""
	return s
}

// process is a running program, as /proc tells it.
type process struct {
	name string   // comm
	argv []string // cmdline
}

// maxName is how much of a program's name the kernel keeps (TASK_COMM_LEN - 1).
const maxName = 15

// matches says whether a process is one of those that are counted (check_params in
// keepalived's track_process.c).
func (s *processSpec) matches(p process) bool {
	if !s.full {
		return p.name == short(s.name)
	}
	if len(p.argv) == 0 || p.argv[0] != s.name {
		return false
	}
	have, n := p.argv[1:], len(s.arguments)
	switch {
	case s.match == exact:
		return slices.Equal(have, s.arguments)
	case s.match == "" || n == 0:
		return true
	case len(have) < n || !slices.Equal(have[:n-1], s.arguments[:n-1]):
		return false
	case s.match == "initial":
		return strings.HasPrefix(have[n-1], s.arguments[n-1])
	}
	return have[n-1] == s.arguments[n-1]
}

func short(name string) string { return name[:min(len(name), maxName)] }

// processTracker counts processes.
type processTracker struct {
	processSpec
	all  *processes
	log  *slog.Logger
	good bool
}

// has says whether as many run as are to.
func (t *processTracker) has(count int) bool { return count >= t.quorum && count <= t.most }

func (t *processTracker) First() (Verdict, bool) {
	t.good = t.has(t.all.count(&t.processSpec))
	return Verdict{Good: t.good}, true
}

// Run reports a quorum that has been there for fork_delay, or missing for terminate_delay.
func (t *processTracker) Run(ctx context.Context, report func(Verdict)) {
	changed, leave := t.all.join(t.log)
	defer leave()
	delay := time.NewTimer(time.Hour)
	delay.Stop()
	waiting := false
	for {
		switch now := t.has(t.all.count(&t.processSpec)); {
		case now == t.good:
			delay.Stop()
			waiting = false
		case !waiting:
			wait := t.terminal
			if now {
				wait = t.fork
			}
			delay.Reset(wait)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-delay.C:
			if now := t.has(t.all.count(&t.processSpec)); waiting && now != t.good {
				t.good = now
				report(Verdict{Good: now})
			}
			waiting = false
		}
	}
}
