package director

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"weir/lvs"
)

// openedEvery is how often the data plane is asked what became of new connections.
const openedEvery = 500 * time.Millisecond

// passive tells of real servers whose new connections get no answer.
type passive struct {
	wanted atomic.Bool // a virtual server has the word passive
	// tell is told what became of new connections. The goroutine of run calls it.
	tell func([]lvs.Opened)
}

// run asks for new connections until ctx ends; without anybody to ask it returns.
func (p *passive) run(ctx context.Context, ask func() ([]lvs.Opened, error), log *slog.Logger) {
	if ask == nil {
		return
	}
	every, failing := time.NewTicker(openedEvery), false
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if !p.wanted.Load() {
			continue
		}
		opened, err := ask()
		if err != nil && !failing {
			log.Error("look at new connections", "error", err)
		}
		if failing = err != nil; len(opened) > 0 {
			p.tell(opened)
		}
	}
}
