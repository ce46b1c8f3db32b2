package lab

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxInFlight bounds a stream's unanswered requests; each holds an OS thread
// while it connects.
const maxInFlight = 512

// Stream is a steady stream of requests, each on a connection of its own.
type Stream struct {
	ns      *Namespace
	address string
	every   time.Duration
	cancel  context.CancelFunc
	stopped chan struct{}

	// gate is held for reading by every request in flight, and for writing
	// while the stream is paused.
	gate sync.RWMutex

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every result
	results  []Result
	started  int // requests so far
	late     time.Duration
	inFlight map[int]bool // those under way, by their number
}

// StartStream asks rate times a second from inside a namespace until it is
// stopped or the context ends.
func StartStream(ctx context.Context, ns *Namespace, address string, rate int) *Stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{
		ns: ns, address: address, every: time.Second / time.Duration(rate),
		cancel: cancel, stopped: make(chan struct{}), changed: make(chan struct{}),
		inFlight: map[int]bool{},
	}
	go s.run(ctx)
	go s.watch(ctx)
	return s
}

// run starts a request whenever one is due. After a pause or a stall it goes
// on from now; it does not catch up.
func (s *Stream) run(ctx context.Context) {
	defer close(s.stopped)
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, maxInFlight)
	due := time.Now()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due = later(due, time.Now().Add(-stall)); !due.After(time.Now()); due = due.Add(s.every) {
			s.gate.RLock()
			slots <- struct{}{}
			requests.Go(func() {
				defer s.gate.RUnlock()
				s.request(ctx)
				<-slots
			})
		}
		tick.Reset(time.Until(due))
	}
}

// stall is how late a request may be: those that were due before are left out. On a
// busy machine a timer is milliseconds late.
const stall = 20 * time.Millisecond

// watch measures how late a timer is that nothing of the cluster can hold up.
func (s *Stream) watch(ctx context.Context) {
	const every = 5 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s.mu.Lock()
		s.late = max(s.late, now.Sub(last)-every)
		s.mu.Unlock()
		last = now
	}
}

// Late is for how long at most the machine had no time for the client, and perhaps none
// for the others.
func (s *Stream) Late() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *Stream) request(ctx context.Context) {
	s.mu.Lock()
	number := s.started
	s.started++
	s.inFlight[number] = true
	s.mu.Unlock()
	r := get(ctx, s.ns, s.address, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, number)
	if ctx.Err() == nil { // else cut short by the stream's end, not by the cluster
		s.results = append(s.results, r)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Pause holds the stream back once every request in flight has ended.
func (s *Stream) Pause() { s.gate.Lock() }

// Resume ends a pause.
func (s *Stream) Resume() { s.gate.Unlock() }

// Stop ends the stream and waits for its requests. It must not be paused.
func (s *Stream) Stop() {
	s.cancel()
	<-s.stopped
}

// Results are the finished requests that started in [from, to).
func (s *Stream) Results(from, to time.Time) []Result {
	return s.where(from, to, func(r Result) time.Time { return r.Start })
}

// where lists the results of which a moment is in [from, to).
func (s *Stream) where(from, to time.Time, moment func(Result) time.Time) []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in []Result
	for _, r := range s.results {
		if at := moment(r); !at.Before(from) && at.Before(to) {
			in = append(in, r)
		}
	}
	return in
}

// Recent tells how the requests went that ended within the last while.
func (s *Stream) Recent(while time.Duration) Stats {
	now := time.Now()
	return summarise(s.where(now.Add(-while), now, Result.End), now.Add(-while), now)
}

// Stats tells how the requests went that started in [from, to). Those that
// are still in flight are not counted; Settle waits for them.
func (s *Stream) Stats(from, to time.Time) Stats {
	return summarise(s.Results(from, to), from, to)
}

// Settle waits until every request that has started by now has ended. The
// stream goes on meanwhile.
func (s *Stream) Settle() {
	s.mu.Lock()
	limit := s.started
	for s.anyBefore(limit) {
		changed := s.changed
		s.mu.Unlock()
		<-changed
		s.mu.Lock()
	}
	s.mu.Unlock()
}

func (s *Stream) anyBefore(limit int) bool {
	for number := range s.inFlight {
		if number < limit {
			return true
		}
	}
	return false
}

// WaitFor returns the first result, by its end, of a request that started at
// or after from and that matches.
func (s *Stream) WaitFor(ctx context.Context, from time.Time, match func(Result) bool) (Result, error) {
	seen := 0
	for {
		s.mu.Lock()
		fresh, changed := s.results[seen:], s.changed
		seen = len(s.results)
		s.mu.Unlock()
		for _, r := range fresh {
			if !r.Start.Before(from) && match(r) {
				return r, nil
			}
		}
		select {
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		case <-s.stopped:
			return Result{}, errors.New("the stream of requests has ended")
		case <-changed:
		}
	}
}
