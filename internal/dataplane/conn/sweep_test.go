package conn

import (
	"testing"
	"time"
)

func TestSweepPause(t *testing.T) {
	for _, tt := range []struct {
		templates int
		want      time.Duration
	}{
		{0, 500 * time.Millisecond}, {100_000, 500 * time.Millisecond}, {500_000, 1750 * time.Millisecond},
		{1_000_000, 3500 * time.Millisecond}, {10_000_000, 3500 * time.Millisecond},
	} {
		if got := pauseFor(tt.templates); got != tt.want {
			t.Errorf("with %d connections %v, want %v", tt.templates, got, tt.want)
		}
	}
}
