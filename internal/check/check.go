// Package check finds out whether real servers serve. One file and one row of the
// table in rows.go are one kind of checker.
//
//	Checker ── polled by ──► Runner ──► Verdict        TCP_CHECK, HTTP_GET, MISC_CHECK …
//	                         Source ──► Verdict        what is told instead: BFD, a file
//
// A Checker is asked, and tells what it found. A Runner decides when to ask, and what
// follows from the answers. A Source learns by itself when something has changed.
package check

import (
	"context"
	"errors"
	"time"
)

// Checker tries a real server once.
type Checker interface {
	// Check returns nil when the server is up, and then what becomes of its weight;
	// otherwise the error is the reason, as it is shown to people; an OwnError says
	// nothing about the server. A Runner calls it, never twice at a time. It returns soon after ctx has ended.
	Check(ctx context.Context) (Weight, error)
	// String names the keyword and the target: "TCP_CHECK 192.168.25.32:80".
	String() string
}

// ErrUnfinished is what Check returns where several tries make one verdict: this one was
// good, and others have to follow it. The verdict stays what it is.
var ErrUnfinished = errors.New("other tries have to follow")

// Paced is a Checker whose tries make a verdict together.
type Paced interface {
	Checker
	// Pace is called behind each try, with the server's state by then and how long a
	// Runner waits for the next one. It returns how long the Runner is to wait.
	Pace(up bool, t Timing, wait time.Duration) time.Duration
}

// Source is told of a real server's state instead of asking for it.
type Source interface {
	// Run calls report with each verdict that differs from the one before, beginning
	// with the first it has, from one goroutine. It returns when ctx has ended, which
	// is not an error.
	Run(ctx context.Context, report func(Verdict)) error
	// String names the keyword and what is followed: "BFD_CHECK west".
	String() string
}

// Verdict is what a Runner or a Source makes known of a real server: a change of its
// state or of its weight.
type Verdict struct {
	Up bool
	// Reason is why the server is down, as it is shown to people; nil when it is up.
	Reason error
	// Weight is what becomes of the server's weight while it is up.
	Weight Weight
	// At is when the verdict was reached: a Runner's last try ended then.
	At time.Time
	// Tries is how many tries in a row led to the verdict; 0 from a Source.
	Tries int
}

// Weight is what a verdict makes of the weight that the configuration gives a server.
// The zero Weight leaves it as it is.
type Weight struct {
	// Absolute says that N is the weight (MISC_CHECK with misc_dynamic: the exit code
	// less 2). Otherwise N is added to it (FILE_CHECK: the file's number times the
	// check's weight).
	Absolute bool
	N        int
	// Agent is what the server's agent says (agent_check), among others the percentage of
	// the configured weight.
	Agent AgentState
}

// Kept is the weight for who keeps it: nil for the zero Weight, which most checks have and
// which then takes no memory.
func (w Weight) Kept() *Weight {
	if w == (Weight{}) {
		return nil
	}
	return &w
}

// Value is the weight that has been kept; nil is the zero Weight.
func (w *Weight) Value() Weight {
	if w == nil {
		return Weight{}
	}
	return *w
}

// keep is another weight to be kept: the same one where it is equal.
func (w *Weight) keep(next Weight) *Weight {
	if w.Value() == next {
		return w
	}
	return next.Kept()
}

// Change is what has to be added to the configured weight. The changes of all of a
// server's checkers add up, as in keepalived; the sum may lie outside of the weights
// that a server can have, 0 to 2³¹−1.
func (w Weight) Change(configured int) int { return w.ChangeOf(configured, 1) }

// ChangeOf is Change where all weights are multiplied by a number: a percentage of a small
// weight is no whole number. It is not 0 where the percentage is not.
func (w Weight) ChangeOf(configured, times int) int {
	switch {
	case w.Absolute:
		return (w.N - configured) * times
	case w.Agent.Weighs:
		part := (configured*times*w.Agent.Percent + 50) / 100
		if part == 0 && configured > 0 && w.Agent.Percent > 0 {
			part = 1
		}
		return part - configured*times
	}
	return w.N * times
}
