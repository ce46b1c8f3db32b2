package api

import (
	"context"
	"strings"
	"sync"
	"testing"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director"
)

// mistaken is a director that panics whatever it is asked, until it is mended.
type mistaken struct {
	picture
	mended bool
}

func (m *mistaken) stumble() {
	if !m.mended {
		var none []string
		_ = none[len(m.asked)]
	}
}

func (m *mistaken) Plan(cfg *conf.Config) (director.Changes, error) {
	m.stumble()
	return m.picture.Plan(cfg)
}

func (m *mistaken) Reload(cfg *conf.Config) (director.Changes, error) {
	m.stumble()
	return m.picture.Reload(cfg)
}

func (m *mistaken) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	m.stumble()
	return m.picture.Snapshot(ctx)
}

// A call that panics is answered with where it did, it is told of, and the next call is
// answered as ever.
func TestPanicOfACallIsCaught(t *testing.T) {
	m := &mistaken{}
	var mu sync.Mutex
	var told []string
	events := cluster.NewStream(func(e cluster.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == cluster.Panicked {
			told = append(told, e.Detail("doing")+" "+e.Detail("at"))
			if !strings.Contains(e.Detail("stack"), "panic_test.go") {
				t.Errorf("the stack is %s", e.Detail("stack"))
			}
		}
	})
	runDir, _, _ := serveEvents(t, m, events)
	client := NewClient(runDir)
	ask := func() (errors []string) {
		p, err := client.Plan(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Reload(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		snapshot := ""
		if _, err := client.Snapshot(t.Context()); err != nil {
			snapshot = err.Error()
		}
		return []string{p.Error, r.Error, snapshot}
	}
	for i, err := range ask() {
		if !strings.Contains(err, "a mistake in weir ended this: runtime error: index out of range [0] with length 0 at panic_test.go:") {
			t.Errorf("answer %d: %q", i, err)
		}
	}
	m.mended = true
	for i, err := range ask() {
		if err != "" {
			t.Errorf("answer %d: %q", i, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i, want := range []string{"POST /v1/plan panic_test.go:", "a reload panic_test.go:", "GET /v1/snapshot panic_test.go:"} {
		if len(told) != 3 || !strings.HasPrefix(told[i], want) {
			t.Errorf("told %q, want %s", told, want)
		}
	}
}
