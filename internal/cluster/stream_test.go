package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// numbered is a stream whose log is a list of numbers.
func numbered() (*Stream, *[]uint64) {
	var log []uint64
	return NewStream(func(e Event) { log = append(log, e.Number) }), &log
}

func next(t *testing.T, r *Subscription) (number, missed uint64) {
	t.Helper()
	e, missed, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e.Number, missed
}

// A subscriber gets what is held and then what is new, in order, as the log does.
func TestEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := numbered()
		s.Publish(Event{})
		s.Publish(Event{})
		early, late := s.Subscribe(0), s.Subscribe(s.Last())
		go func() {
			time.Sleep(time.Minute)
			s.Publish(Event{})
		}()
		for want := range uint64(3) {
			if n, missed := next(t, early); n != want+1 || missed != 0 {
				t.Errorf("event %d, %d missed, want %d, 0 missed", n, missed, want+1)
			}
		}
		if n, missed := next(t, late); n != 3 || missed != 0 {
			t.Errorf("the late subscriber got event %d, %d missed, want 3, 0 missed", n, missed)
		}
		if len(*log) != 3 {
			t.Errorf("the log has %d events, want 3", len(*log))
		}
	})
}

// A subscriber that reads too slowly is told how many events it has missed, and
// delays nobody.
func TestSlowSubscriber(t *testing.T) {
	s, _ := numbered()
	r := s.Subscribe(0)
	s.Publish(Event{})
	if n, _ := next(t, r); n != 1 {
		t.Fatalf("event %d, want 1", n)
	}
	const more = held + 10
	for range more {
		s.Publish(Event{})
	}
	if n, missed := next(t, r); n != 12 || missed != 10 {
		t.Errorf("event %d, %d missed, want 12, 10 missed", n, missed)
	}
	if n, missed := next(t, r); n != 13 || missed != 0 {
		t.Errorf("event %d, %d missed, want 13, 0 missed", n, missed)
	}
}

// A number of a process of before is beyond those of this one: the reader gets all
// that this one has.
func TestNumberOfAnEarlierProcess(t *testing.T) {
	s, _ := numbered()
	s.Publish(Event{})
	if n, missed := next(t, s.Subscribe(700)); n != 1 || missed != 0 {
		t.Errorf("event %d, %d missed, want 1, 0 missed", n, missed)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	s, _ := numbered()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Subscribe(0).Next(ctx); err != context.Canceled {
		t.Errorf("error %v, want context canceled", err)
	}
}
