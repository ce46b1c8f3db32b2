package cluster

import (
	"context"
	"sync"
	"time"
)

// held is how many past events a Stream keeps for readers that come or come back.
const held = 4096

// Stream numbers events and hands each to the log and to every subscriber. Any
// goroutine may publish; a slow subscriber delays nobody.
type Stream struct {
	begun time.Time
	write func(Event) // writes the event's line; called in the order of the numbers

	mu     sync.Mutex // guards what follows
	ring   []Event    // the last events, oldest at number%held once it is full
	last   uint64     // the number of the newest
	notify chan struct{}
}

// NewStream begins with no event. Write gets every event before any subscriber does.
func NewStream(write func(Event)) *Stream {
	return &Stream{begun: time.Now(), write: write, notify: make(chan struct{})}
}

// Begun is when the stream was made. A reader that finds another time than before
// reads another process's stream, whose numbers begin anew.
func (s *Stream) Begun() time.Time { return s.begun }

// Publish gives the event its number and its time, unless it has one, and tells it.
func (s *Stream) Publish(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	e.Number = s.last
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s.write(e)
	if len(s.ring) < held {
		s.ring = append(s.ring, e)
	} else {
		s.ring[(e.Number-1)%held] = e
	}
	close(s.notify)
	s.notify = make(chan struct{})
}

// Last is the number of the newest event, 0 before the first.
func (s *Stream) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Subscribe reads the events whose numbers are greater than after: those that are
// still held, then new ones. A reader that comes back names the last one it got.
func (s *Stream) Subscribe(after uint64) *Subscription {
	return &Subscription{stream: s, next: after + 1}
}

// Subscription is one reader's place in a Stream. One goroutine uses it; it needs no
// closing.
type Subscription struct {
	stream *Stream
	next   uint64
}

// Next waits for the next event. Missed counts the events between the last one that
// it returned and this one: they came faster than they were read, and are held no
// more. The error is that of the context.
func (r *Subscription) Next(ctx context.Context) (e Event, missed uint64, err error) {
	for {
		e, missed, wait := r.take()
		if wait == nil {
			return e, missed, nil
		}
		select {
		case <-ctx.Done():
			return Event{}, 0, ctx.Err()
		case <-wait:
		}
	}
}

// Held returns the next event and how many were missed before it, as Next does, but
// does not wait: ok is false where there is none yet.
func (r *Subscription) Held() (e Event, missed uint64, ok bool) {
	e, missed, wait := r.take()
	return e, missed, wait == nil
}

// take returns the next event, or the channel that is closed when there is one.
func (r *Subscription) take() (e Event, missed uint64, wait <-chan struct{}) {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	// A number of a process of before is beyond those of this one: begin anew.
	if r.next > s.last+1 {
		r.next = 1
	}
	if r.next > s.last {
		return Event{}, 0, s.notify
	}
	if oldest := s.last - uint64(len(s.ring)) + 1; r.next < oldest {
		missed, r.next = oldest-r.next, oldest
	}
	e = s.ring[(r.next-1)%held]
	r.next++
	return e, missed, nil
}
