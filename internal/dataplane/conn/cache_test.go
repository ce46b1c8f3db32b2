package conn

import (
	"testing"
)

// How many lines leave before their time: a third more than are too many, but at most
// half of what is allowed.
func TestCacheGoal(t *testing.T) {
	for lines, want := range map[uint32]uint32{0: 0, 16384: 0, 16387: 4, 30000: 8192} {
		if got := cacheGoal(lines, cacheLimit); got != want {
			t.Errorf("%d lines: %d may go, want %d", lines, got, want)
		}
	}
}
