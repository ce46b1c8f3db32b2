package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/script"
)

// scripts runs programs: those of one subject in order, one at a time, and those of different
// subjects side by side.
type scripts struct {
	log   *slog.Logger
	rules atomic.Pointer[script.Rules]
	// slots bound how many run at once.
	slots chan struct{}

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	queues  map[string]*queue
	ending  bool
	running int
	waiting []chan struct{} // to be closed when nothing runs
}

// queue is the programs of one subject that wait.
type queue struct {
	jobs    []command
	dropped int
}

const (
	// orderFor is how long a program has before the next of its subject begins beside it:
	// keepalived waits for none.
	orderFor = 30 * time.Second
	// mostTime is how long a program may take at most; then it is ended.
	mostTime = 10 * time.Minute
	// mostWaiting bounds the programs of a subject that wait: then the oldest are dropped.
	mostWaiting = 64
	// mostRunning bounds the programs that run at once.
	mostRunning = 256
	// endTime is how long a program has that tells of the end, as in keepalived.
	endTime = time.Second
)

func newScripts(log *slog.Logger) *scripts {
	return &scripts{log: log, slots: make(chan struct{}, mostRunning), queues: map[string]*queue{}, ctx: context.Background()}
}

// start has programs that run end with ctx.
func (s *scripts) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx
}

// stopping has the programs that come from now on run at once, side by side, for endTime.
func (s *scripts) stopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	for _, q := range s.queues {
		q.jobs = nil // what they tell is past
	}
}

// add has a program run, after those of its subject that are to run before.
func (s *scripts) add(subject string, c command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		s.running++
		go func() {
			defer s.ended()
			s.run(c, endTime)
		}()
		return
	}
	q := s.queues[subject]
	if q == nil {
		q = &queue{}
		s.queues[subject] = q
		s.running++
		go s.work(subject, q)
	}
	if len(q.jobs) == mostWaiting {
		q.jobs = append(q.jobs[:0], q.jobs[1:]...)
		if q.dropped++; q.dropped == 1 {
			s.log.Warn("programs take longer than what they tell of: the oldest that wait are not run", "subject", subject, "waiting", mostWaiting)
		}
	}
	q.jobs = append(q.jobs, c)
}

// work runs the programs of a queue until it is empty.
func (s *scripts) work(subject string, q *queue) {
	defer s.ended()
	for {
		s.mu.Lock()
		if len(q.jobs) == 0 {
			delete(s.queues, subject)
			s.mu.Unlock()
			return
		}
		c := q.jobs[0]
		q.jobs = q.jobs[1:]
		s.running++
		s.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer s.ended()
			defer close(done)
			s.run(c, mostTime)
		}()
		timer := time.NewTimer(orderFor)
		select {
		case <-done:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// run runs a program to its end.
func (s *scripts) run(c command, limit time.Duration) {
	s.mu.Lock()
	ctx := s.ctx
	s.mu.Unlock()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.slots }()
	result, err := commandOf(c).Run(ctx, s.rules.Load(), limit)
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		s.log.Warn("a program that tells of an event cannot be run", "program", c.Command, "error", err)
	case result.Late:
		s.log.Warn("a program that tells of an event takes too long, and was ended", "program", c.Command, "after", limit.String())
	}
}

// commandOf is a program with all its words.
func commandOf(c command) script.Command {
	all := script.CommandOf(c.Script)
	all.Words = append(all.Words, c.more...)
	return all
}

// ended counts a goroutine that is done.
func (s *scripts) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		for _, w := range s.waiting {
			close(w)
		}
		s.waiting = nil
	}
}

// idle is closed when nothing runs and nothing waits.
func (s *scripts) idle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	if s.running == 0 {
		close(c)
	} else {
		s.waiting = append(s.waiting, c)
	}
	return c
}
