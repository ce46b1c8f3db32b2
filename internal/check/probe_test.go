package check

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A probe is one short try at once, for which a try under way is given up: a server that
// fails it is down without its retries, and one that passes it is reported as it is.
func TestProbe(t *testing.T) {
	tests := []struct {
		name  string
		state func(time.Duration) error
		probe time.Duration
		want  []change
	}{
		{"between two checks", between(0, 0, nil), 10 * time.Second, []change{{10 * time.Second, true, nil, 1}}},
		{"refused", between(9*time.Second, forever, errRefused), 10 * time.Second, []change{{10 * time.Second, false, errRefused, 1}}},
		{"silent", between(9*time.Second, forever, errSilent), 10 * time.Second, []change{{11 * time.Second, false, nil, 1}}},
		{"in the midst of a check", between(13*time.Second, forever, errSilent), 15 * time.Second, []change{{16 * time.Second, false, nil, 1}}},
		{"in the midst of a check, and it answers", between(13*time.Second, 14*time.Second, errSilent), 15 * time.Second, []change{{15 * time.Second, true, nil, 1}}},
		{"and it comes back", between(9*time.Second, 12*time.Second, errRefused), 10 * time.Second,
			[]change{{10 * time.Second, false, errRefused, 1}, {16 * time.Second, true, nil, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &server{state: tt.state, start: time.Now()}
				var got []change
				r := &Runner{Checker: srv, Timing: seed(), Log: slog.New(slog.DiscardHandler), Report: func(v Verdict) {
					got = append(got, change{time.Since(srv.start), v.Up, v.Reason, v.Tries})
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				time.AfterFunc(tt.probe, r.Probe)
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
				for i := range got {
					if r := got[i].reason; r != nil && r != errRefused {
						if r.Error() != "no answer within 1s" {
							t.Errorf("reason %q", r)
						}
						got[i].reason = nil
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A probe that this machine cannot make leaves the verdict, and says so.
func TestProbeThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Verdict
		r := &Runner{
			Checker: &server{state: between(0, 0, nil), start: time.Now()}, Timing: seed(), Log: slog.New(slog.DiscardHandler),
			Slots: make(chan struct{}), Report: func(v Verdict) { got = append(got, v) },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		time.AfterFunc(10*time.Second, r.Probe)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(got) != 1 || !got[0].Up {
			t.Errorf("got %v, want it up", got)
		}
	})
}
