package main

import "testing"

// A heap at rest grows by 16 MB at least, and a large one by two fifths, before garbage is
// collected.
func TestGarbageAtRest(t *testing.T) {
	for _, tt := range []struct {
		live uint64 // bytes
		want int    // per cent
	}{
		{0, 1600}, // nothing is known of it
		{8 << 20, 200},
		{32 << 20, 50},
		{40 << 20, 40},
		{500 << 20, 40},
	} {
		if got := percentAtRest(tt.live); got != tt.want {
			t.Errorf("of %d MB: %d %%, want %d %%", tt.live>>20, got, tt.want)
		}
	}
}
