package beat

import (
	"testing"
	"testing/synctest"
	"time"
)

// Tasks that begin at any time wake up together.
func TestTasksWakeUpTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		midnight := time.Now()
		for _, tt := range []struct{ after, period, want time.Duration }{
			{0, time.Second, behind},
			{1300 * time.Millisecond, time.Second, 700*time.Millisecond + behind},
			{2000 * time.Millisecond, time.Second, behind},
			{2000*time.Millisecond + behind, time.Second, time.Second},
			{2300 * time.Millisecond, 500 * time.Millisecond, 200*time.Millisecond + behind},
			{3300 * time.Millisecond, 2 * time.Second, 700*time.Millisecond + behind},
		} {
			time.Sleep(time.Until(midnight.Add(tt.after)))
			if got := Until(tt.period); got != tt.want {
				t.Errorf("%s after midnight, each %s: %s, want %s", tt.after, tt.period, got, tt.want)
			}
		}
	})
}

// Timers of a grid fire together, and those that are short when they are due.
func TestGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3 * time.Millisecond)
		const step = 10 * time.Millisecond
		for _, tt := range []struct{ wait, want time.Duration }{
			{0, 0},
			{time.Second - 1, time.Second - 1},
			{time.Second, 997 * time.Millisecond},
			{1002 * time.Millisecond, 997 * time.Millisecond},
			{1003 * time.Millisecond, 1007 * time.Millisecond},
			{1007 * time.Millisecond, 1007 * time.Millisecond},
			{time.Minute + 1, time.Minute - 3*time.Millisecond},
		} {
			if got := Grid(tt.wait, step); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.wait, got, tt.want)
			}
		}
	})
}
