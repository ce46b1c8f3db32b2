package conn

import (
	"testing"
	"time"
)

// The sweep rests only where there is nothing that may expire.
func TestSweepsAtRest(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(t *Table)
		want time.Duration
	}{
		{"nothing", func(*Table) {}, sweepAtRest},
		{"a connection", func(t *Table) { t.live.Store(1) }, sweepLeast},
		{"a template", func(t *Table) { t.clients.live = 1 }, sweepLeast},
		{"templates that are to be listed", func(t *Table) { t.clients.list = true }, sweepLeast},
		{"templates that may have no entry", func(t *Table) { t.clients.unsure = true }, sweepLeast},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := &Table{}
			tt.with(table)
			if got := table.least(); got != tt.want {
				t.Errorf("the next sweep after %s, want %s", got, tt.want)
			}
		})
	}
}
