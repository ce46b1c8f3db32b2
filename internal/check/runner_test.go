package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The times of the seed's configuration.
const (
	delayLoop        = 6 * time.Second
	retry            = 3
	delayBeforeRetry = 3 * time.Second
	connectTimeout   = 10 * time.Second
)

func seed() Timing {
	return Timing{DelayLoop: delayLoop, Retry: retry, DelayBeforeRetry: delayBeforeRetry}
}

var (
	errRefused = errors.New("connection refused")
	errSilent  = errors.New("no answer within 10s")
)

// server is a checker whose server answers as a real one does, in simulated time.
type server struct {
	state  func(since time.Duration) error // since the Runner's start
	start  time.Time
	checks []time.Duration // when each check began
}

func (s *server) String() string { return "TCP_CHECK 192.168.25.32:80" }

func (s *server) Check(ctx context.Context) (Weight, error) {
	since := time.Since(s.start)
	s.checks = append(s.checks, since)
	err := s.state(since)
	if errors.Is(err, errSilent) && !sleep(ctx, connectTimeout) {
		return Weight{}, ctx.Err()
	}
	return Weight{}, err
}

// sleep waits for d; it returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// change is a Verdict with its moment counted from the Runner's start.
type change struct {
	at     time.Duration
	up     bool
	reason error
	tries  int
}

// simulate runs a Runner against a server for a while and returns what it
// reported and when it checked.
func simulate(t *testing.T, timing Timing, d time.Duration, state func(time.Duration) error) (changes []change, checks []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{state: state, start: time.Now()}
		r := Runner{Checker: srv, Timing: timing, Log: slog.New(slog.DiscardHandler), Report: func(v Verdict) {
			if !v.At.Equal(time.Now()) {
				t.Errorf("Verdict.At is %v, want now, %v", v.At, time.Now())
			}
			changes = append(changes, change{time.Since(srv.start), v.Up, v.Reason, v.Tries})
		}}
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil: a cancelled context is no error", err)
		}
		if got := time.Since(srv.start); got != d {
			t.Errorf("Run took %v to end, want %v", got, d)
		}
		checks = srv.checks
	})
	return changes, checks
}

func between(from, to time.Duration, err error) func(time.Duration) error {
	return func(since time.Duration) error {
		if since >= from && since < to {
			return err
		}
		return nil
	}
}

// forever is longer than any simulation.
const forever = 1000 * time.Hour

// Checks begin at 1 s, 7 s, 13 s … while the server is up.
func TestOutWithinBounds(t *testing.T) {
	const bound = delayLoop + retry*delayBeforeRetry // 15 s
	tests := []struct {
		name    string
		stopped time.Duration
		err     error
		want    time.Duration
	}{
		{"refused right after a check", 7*time.Second + 1, errRefused, 22 * time.Second},
		{"refused between two checks", 10 * time.Second, errRefused, 22 * time.Second},
		{"refused right before a check", 13 * time.Second, errRefused, 22 * time.Second},
		{"silent right after a check", 7*time.Second + 1, errSilent, 62 * time.Second},
		{"silent right before a check", 13 * time.Second, errSilent, 62 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := simulate(t, seed(), 2*time.Minute, between(tt.stopped, forever, tt.err))
			want := []change{{tt.want, false, tt.err, retry + 1}}
			if !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			limit := bound
			if tt.err == errSilent {
				limit += (retry + 1) * connectTimeout // 55 s
			}
			if took := got[0].at - tt.stopped; took > limit {
				t.Errorf("out after %v, bound %v", took, limit)
			}
		})
	}
}

func TestBackWithinOneDelayLoop(t *testing.T) {
	for _, again := range []time.Duration{22*time.Second + 1, 25 * time.Second, 28 * time.Second} {
		got, _ := simulate(t, seed(), time.Minute, between(7*time.Second+1, again, errRefused))
		want := []change{{22 * time.Second, false, errRefused, retry + 1}, {28 * time.Second, true, nil, 1}}
		if !slices.Equal(got, want) {
			t.Errorf("started again at %v: got %v, want %v", again, got, want)
		}
		if back := got[len(got)-1].at - again; back > delayLoop {
			t.Errorf("back after %v, bound %v", back, delayLoop)
		}
	}
}

// A server that passes one of its retries stays up, and has all retries again the next
// time.
func TestFlappingDuringRetries(t *testing.T) {
	got, checks := simulate(t, seed(), time.Minute, func(since time.Duration) error {
		switch since / time.Second {
		case 7, 10, 13: // the 16 s retry, the last, is good
			return errRefused
		case 22, 25, 28, 31:
			return errRefused
		}
		return nil
	})
	want := []change{{31 * time.Second, false, errRefused, retry + 1}, {37 * time.Second, true, nil, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var seconds []time.Duration
	for _, s := range []int{1, 7, 10, 13, 16, 22, 25, 28, 31, 37, 43, 49, 55} {
		seconds = append(seconds, time.Duration(s)*time.Second)
	}
	if !slices.Equal(checks, seconds) {
		t.Errorf("checks began at %v, want %v", checks, seconds)
	}
}

// While down, a failure leads to no retries: the next check is a delay_loop away.
func TestNoRetriesWhileDown(t *testing.T) {
	got, checks := simulate(t, seed(), 20*time.Second, between(0, forever, errRefused))
	if want := []change{{1 * time.Second, false, errRefused, 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: at start-up one failure is enough", got, want)
	}
	want := []time.Duration{1 * time.Second, 7 * time.Second, 13 * time.Second, 19 * time.Second}
	if !slices.Equal(checks, want) {
		t.Errorf("checks began at %v, want %v", checks, want)
	}
}

func TestStart(t *testing.T) {
	tests := []struct {
		name  string
		alpha bool
		err   error
		want  []change
	}{
		{"good server, assumed up", false, nil, nil},
		{"bad server, assumed up", false, errRefused, []change{{1 * time.Second, false, errRefused, 1}}},
		{"good server, alpha", true, nil, []change{{1 * time.Second, true, nil, 1}}},
		{"bad server, alpha, whose reason is told once", true, errRefused, []change{{1 * time.Second, false, errRefused, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timing := seed()
			timing.Alpha = tt.alpha
			got, _ := simulate(t, timing, 30*time.Second, between(0, forever, tt.err))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A check that the end of the Runner interrupts is no failure of the server.
func TestCancelledDuringACheck(t *testing.T) {
	got, checks := simulate(t, seed(), 5*time.Second, between(0, forever, errSilent))
	if len(got) != 0 || len(checks) != 1 {
		t.Errorf("reported %v after %d checks, want nothing after 1", got, len(checks))
	}
}

func TestWarmupSpreadsTheFirstChecks(t *testing.T) {
	timing := DefaultTiming(delayLoop)
	firsts := map[time.Duration]bool{}
	for range 50 {
		_, checks := simulate(t, timing, 20*time.Second, between(0, 0, nil))
		if checks[0] < firstDelay || checks[0] >= firstDelay+delayLoop {
			t.Fatalf("first check at %v, want within [%v, %v)", checks[0], firstDelay, firstDelay+delayLoop)
		}
		firsts[checks[0]] = true
	}
	if len(firsts) < 20 { // of 72 instants
		t.Errorf("50 runners began at only %d different moments", len(firsts))
	}
}

// log_all_failures tells of each failed try while the server is up; otherwise, and while
// it is down, they are for debugging.
func TestLoudFailures(t *testing.T) {
	for _, loud := range []func() bool{nil, func() bool { return false }, func() bool { return true }} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			srv := &server{state: between(7*time.Second, 40*time.Second, errRefused), start: time.Now()}
			r := Runner{Checker: srv, Timing: seed(), Report: func(Verdict) {}, Loud: loud, Log: slog.New(slog.NewTextHandler(&log, nil))}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
			want := 0
			if loud != nil && loud() {
				want = retry + 1
			}
			if got := strings.Count(log.String(), `msg="check failed" check="TCP_CHECK 192.168.25.32:80" reason="connection refused"`); got != want {
				t.Errorf("%d failed tries are logged, want %d:\n%s", got, want, &log)
			}
		})
	}
}

func TestBadTiming(t *testing.T) {
	tests := []struct {
		spoil func(*Timing)
		want  string
	}{
		{func(t *Timing) { t.DelayLoop = 0 }, "delay_loop 0s"},
		{func(t *Timing) { t.Retry = -1 }, "retry -1"},
		{func(t *Timing) { t.DelayBeforeRetry = -1 }, "delay_before_retry -1ns"},
		{func(t *Timing) { t.Warmup = -time.Second }, "warmup -1s"},
	}
	for _, tt := range tests {
		timing := seed()
		tt.spoil(&timing)
		r := Runner{Checker: &server{}, Timing: timing}
		want := fmt.Sprintf("TCP_CHECK 192.168.25.32:80: %s: expected", tt.want)
		if err := r.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Run = %v, want %q…", err, want)
		}
	}
}

// Between its checks a Runner holds no goroutine; it has ended when stop was called and its
// last check has returned.
func TestRunnersAtRestHoldNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := NewCrew(t.Context())
		before, stops := runtime.NumGoroutine(), []func(){}
		for range 1000 {
			r := Runner{
				Checker: &server{state: between(forever, forever, nil), start: time.Now()}, Timing: seed(),
				Report: func(Verdict) {}, Log: slog.New(slog.DiscardHandler),
			}
			stops = append(stops, r.Start(crew))
		}
		time.Sleep(time.Minute + delayLoop/2)
		synctest.Wait()
		now := runtime.NumGoroutine()
		// The runtime counts those that have ended while it collects their stacks.
		for n := 0; now > before+10 && n < 10; n++ {
			runtime.GC()
			now = runtime.NumGoroutine()
		}
		if now > before+10 {
			t.Errorf("%d goroutines with 1,000 Runners, %d before", now, before)
		}
		for _, stop := range stops {
			stop()
		}
		crew.Wait()
	})
}

// A check that is being made when it is stopped is told so, and says nothing any more.
func TestRunnerStopsAmidACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := NewCrew(t.Context())
		r := Runner{
			Checker: &server{state: between(0, forever, errSilent), start: time.Now()}, Timing: seed(),
			Report: func(v Verdict) { t.Errorf("reported %+v", v) }, Log: slog.New(slog.DiscardHandler),
		}
		start := time.Now()
		stop := r.Start(crew)
		time.Sleep(firstDelay + connectTimeout/2)
		stop()
		crew.Wait()
		if took := time.Since(start); took != firstDelay+connectTimeout/2 {
			t.Errorf("ended after %v, want at once", took)
		}
	})
}
