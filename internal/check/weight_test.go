package check

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestWeightChange(t *testing.T) {
	for _, tt := range []struct {
		name       string
		weight     Weight
		configured int
		want       int
	}{
		{"none", Weight{}, 5, 0},
		{"misc_dynamic, exit code 10", Weight{Absolute: true, N: 8}, 5, 3},
		{"misc_dynamic, exit code 2", Weight{Absolute: true}, 5, -5},
		{"FILE_CHECK", Weight{N: -3}, 5, -3},
	} {
		if got := tt.weight.Change(tt.configured); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// outcomes is a checker whose tries end one after the other as they are listed, and
// then on as the last one.
type outcomes []struct {
	weight int
	err    error
}

func (o *outcomes) String() string { return "MISC_CHECK true" }

func (o *outcomes) Check(context.Context) (Weight, error) {
	next := (*o)[0]
	if len(*o) > 1 {
		*o = (*o)[1:]
	}
	return Weight{Absolute: true, N: next.weight}, next.err
}

// A server that stays up with another weight is a new verdict; one that stays up with
// the same weight is none. A server that comes back brings its weight along.
func TestRunnerReportsWeights(t *testing.T) {
	failed := errors.New("exit code 1")
	synctest.Test(t, func(t *testing.T) {
		var got []Verdict
		r := Runner{
			Checker: &outcomes{{5, nil}, {5, nil}, {7, nil}, {0, failed}, {7, nil}, {7, nil}},
			Timing:  Timing{DelayLoop: time.Second},
			Log:     slog.New(slog.DiscardHandler),
			Report: func(v Verdict) {
				v.At = time.Time{}
				got = append(got, v)
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		weight := func(n int) Weight { return Weight{Absolute: true, N: n} }
		want := []Verdict{
			{Up: true, Weight: weight(5), Tries: 1},
			{Up: true, Weight: weight(7), Tries: 1},
			{Reason: failed, Tries: 1},
			{Up: true, Weight: weight(7), Tries: 1},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
