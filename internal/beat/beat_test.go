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
