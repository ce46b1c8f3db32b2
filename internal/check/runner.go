package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Runner repeats a checker and reports its verdicts.
//
//	          first try fails, or retry+1 tries in a row fail
//	   ┌──────────────────────────────────────────────────────────┐
//	   │                                                          ▼
//	┌──┴─┐                                                     ┌──────┐
//	│ up │                                                     │ down │
//	└──▲─┘                                                     └──┬───┘
//	   │                     one try succeeds                     │
//	   └──────────────────────────────────────────────────────────┘
//
// It begins up, or down with alpha. Only a server that has passed a check has
// retries: one that fails its very first check is taken out at once. With alpha the first
// failed try is a verdict, too, with the reason. A try that
// succeeds with another weight than before is a new verdict, too.
type Runner struct {
	Checker Checker
	Timing  Timing
	// Report is called with each verdict. The next check waits until it returns, so it
	// should only hand the verdict on.
	Report func(Verdict)
	// Trouble, if it is not nil, is called when this machine cannot ask, or cannot for
	// another reason than before, and with nil when it can again.
	Trouble func(*OwnError)
	// Slots, if it is not nil, has room for as many checks as may be made at once, those of
	// other Runners included. A check without room is not made for want of a file.
	Slots chan struct{}
	// Log gets each failed try, at level debug.
	Log *slog.Logger
	// Loud, if it is not nil and returns true, raises that to level info while the server is
	// up: log_all_failures.
	Loud func() bool
	// Passed says that the server has passed this check before, with other timing: it
	// has its retries from the start.
	Passed bool
	// Weight is what the check made of the weight then; nil is the zero Weight.
	Weight *Weight

	polling *polling // nil before Start
}

// Run checks until ctx ends, which is not an error. It fails at once with the error of
// Timing.Validate.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.Timing.Validate(); err != nil {
		return fmt.Errorf("%s: %w", r.Checker, err)
	}
	crew := NewCrew(ctx)
	r.Start(crew)
	crew.Wait()
	return nil
}

// Start begins to check, with a Timing that is valid, until the crew ends or stop is called.
// Between two checks nothing but a timer is held. The crew counts the Runner until it has
// ended and its last check, if one is being made, has returned.
func (r *Runner) Start(crew *Crew) (stop func()) {
	wait := firstDelay
	if r.Timing.Warmup > 0 {
		wait += rand.N(r.Timing.Warmup)
	}
	p := &polling{Runner: r, s: standing{up: !r.Timing.Alpha, alive: r.Passed, weight: r.Weight, unasked: r.Timing.Alpha}, crew: crew}
	p.entry.of = p
	r.polling = p
	ended := crew.add(p)
	p.mu.Lock()
	crew.turns.put(&p.entry, wait)
	p.mu.Unlock()
	if ended {
		p.stop()
	}
	return p.stop
}

// polling is a Runner that has been started.
type polling struct {
	*Runner
	s            standing // that of the turns, which follow one another
	crew         *Crew
	before, next *polling        // in the crew's list
	entry        entry[*polling] // in the crew's agenda of turns
	// mu guards what follows, and the setting of the next turn against the end.
	mu sync.Mutex
	// stopped says that no turn is to follow.
	stopped bool
	// due says that a probe is to be made, and giveUp ends the try under way, nil while
	// there is none.
	due    bool
	giveUp context.CancelFunc
	// dial is the try under way where that is a connection.
	dial *dial
}

// turn makes one check and has the next follow.
func (p *polling) turn() {
	var wait time.Duration
	if !p.over() {
		wait = p.once()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again(wait)
}

// again has a turn follow, unless the Runner has been stopped. The caller holds mu.
func (p *polling) again(wait time.Duration) {
	if p.stopped || p.crew.ctx.Err() != nil {
		p.stopped = true
		p.crew.remove(p)
		return
	}
	if p.due {
		wait = 0
	}
	p.crew.turns.put(&p.entry, wait)
}

// stop ends the try under way, if there is one; where none is, none follows.
func (p *polling) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	if p.giveUp != nil {
		p.giveUp()
	}
	if p.hangUp() || p.crew.turns.remove(&p.entry) { // otherwise the turn that is under way sees it
		p.crew.remove(p)
	}
}

// over says whether the Runner has been stopped, or its crew.
func (p *polling) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped || p.crew.ctx.Err() != nil
}

// once makes one check and returns how long to wait for the next.
func (p *polling) once() time.Duration {
	weight, reason, given := p.try()
	if p.over() || given {
		return 0 // an interrupted check says nothing about the server
	}
	wait := p.follow(weight, reason)
	if paced, ok := p.Checker.(Paced); ok {
		wait = paced.Pace(p.s.up, p.Timing, wait)
	}
	return wait
}

// follow takes in the outcome of a try that was made or could not be made, and returns how long
// to wait for the next.
func (p *polling) follow(weight Weight, reason error) time.Duration {
	if p.unable(&p.s, reason) {
		p.restate(&p.s)
		return p.Timing.DelayLoop
	}
	return p.judge(&p.s, weight, reason)
}

// restate reports the verdict as it is where a probe has not led to one.
func (r *Runner) restate(s *standing) {
	if s.probed && s.up {
		r.Report(Verdict{Up: true, Weight: s.weight.Value(), At: time.Now(), Tries: 1})
	}
	s.probed = false
}

// unable says whether this machine could not ask. That is no try: the verdict stays.
func (r *Runner) unable(s *standing, reason error) bool {
	var own *OwnError
	errors.As(reason, &own)
	now := ""
	if own != nil {
		now = own.Error()
	}
	if now != s.trouble && r.Trouble != nil {
		r.Trouble(own)
	}
	s.trouble = now
	return own != nil
}

// ask is one try. A mistake in a checker's code is this machine's trouble.
func (r *Runner) ask(ctx context.Context) (weight Weight, reason error) {
	if r.Slots != nil {
		select {
		case r.Slots <- struct{}{}:
			defer func() { <-r.Slots }()
		default:
			return weight, &OwnError{syscall.EMFILE, ownRemedies[syscall.EMFILE]}
		}
	}
	defer func() {
		if mistake := recover(); mistake != nil {
			r.Log.Error("a check has panicked", "check", r.Checker.String(), "panic", mistake, "stack", string(debug.Stack()))
			reason = &OwnError{fmt.Errorf("the check has panicked: %v", mistake), "report it with the lines of the log about it"}
		}
	}()
	return r.Checker.Check(ctx)
}

// standing is what a Runner knows of its server.
type standing struct {
	// up and weight are the verdict as last reported, or as assumed at the start; a nil
	// weight is the zero one.
	up     bool
	weight *Weight
	// alive says that a check has confirmed up: only then there are retries.
	alive bool
	// failed counts the failed tries since the last try that succeeded, or since the
	// server went down.
	failed int
	// trouble is why this machine could not ask the last time; empty where it could.
	trouble string
	// unasked says that it began down, by alpha, and that no try has ended yet.
	unasked bool
	// probed says that the last try was a probe.
	probed bool
	// said is what the agent says of a server that it has taken out.
	said string
}

// judge takes in the outcome of one try and returns how long to wait for the next.
func (r *Runner) judge(s *standing, weight Weight, reason error) time.Duration {
	if errors.Is(reason, ErrUnfinished) {
		s.failed = 0
		r.restate(s)
		return r.Timing.DelayLoop
	}
	if reason != nil {
		return r.fail(s, reason)
	}
	if s.up && !s.alive {
		r.Log.Info("first check passed", "check", r.Checker.String())
	}
	if !s.up || s.weight.Value() != weight || s.probed {
		r.Report(Verdict{Up: true, Weight: weight, At: time.Now(), Tries: 1})
	}
	*s = standing{up: true, alive: true, weight: s.weight.keep(weight)}
	return r.Timing.DelayLoop
}

// fail takes in a failed try.
func (r *Runner) fail(s *standing, reason error) time.Duration {
	s.failed++
	level := slog.LevelDebug
	if s.up && r.Loud != nil && r.Loud() {
		level = slog.LevelInfo
	}
	r.Log.Log(context.Background(), level, "check failed", "check", r.Checker.String(), "reason", reason, "try", s.failed)
	if s.alive && !s.probed && s.failed <= r.Timing.Retry {
		return r.Timing.DelayBeforeRetry
	}
	said := ""
	if out := (*AgentOut)(nil); errors.As(reason, &out) {
		said = out.Error()
	}
	if s.up || s.unasked || said != s.said {
		r.Report(Verdict{Reason: reason, At: time.Now(), Tries: s.failed})
	}
	*s = standing{said: said}
	return r.Timing.DelayLoop
}
