package conn

import (
	"testing"
	"time"
)

// Connections are looked at once each, a second after they have begun, and of many the
// latest.
func TestWhichConnectionsAreLookedAt(t *testing.T) {
	type call struct {
		at       time.Duration
		turn     uint64
		from, to uint64
	}
	for _, tt := range []struct {
		name   string
		places uint64
		calls  []call
	}{
		{"steadily", 4096, []call{
			{0, 100, 100, 100}, {500 * time.Millisecond, 110, 100, 100}, {time.Second, 120, 100, 100},
			{1500 * time.Millisecond, 130, 100, 110}, {2 * time.Second, 140, 110, 120}, {2500 * time.Millisecond, 140, 120, 130},
			{10 * time.Second, 150, 130, 140}, {11 * time.Second, 160, 140, 150}, {12 * time.Second, 160, 150, 160}, {13 * time.Second, 160, 160, 160},
		}},
		{"a flood", 4096, []call{{0, 0, 0, 0}, {time.Second, 2000, 0, 0}, {2 * time.Second, 3000, 2000 - openedMost, 2000}}},
		{"a flood beyond the ring", 300, []call{{0, 0, 0, 0}, {time.Second, 2000, 0, 0}, {2 * time.Second, 2100, 1800, 2000}, {3 * time.Second, 9000, 2100, 2100}}},
		{"another ring", 4096, []call{{0, 100, 100, 100}, {time.Second, 200, 100, 100}, {2 * time.Second, 5, 5, 5}, {3 * time.Second, 8, 5, 5}, {4 * time.Second, 9, 5, 8}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o opened
			begun := time.Now()
			for _, c := range tt.calls {
				if from, to := o.next(begun.Add(c.at), c.turn, tt.places); from != c.from || to != c.to {
					t.Errorf("after %s, at turn %d: %d to %d, want %d to %d", c.at, c.turn, from, to, c.from, c.to)
				}
			}
		})
	}
}
