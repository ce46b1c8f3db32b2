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
	// changed gets a value where wanted has become another.
	changed chan struct{}
	// tell is told what became of new connections. The goroutine of run calls it.
	tell func([]lvs.Opened)
}

// want says whether a virtual server has the word passive.
func (p *passive) want(wanted bool) {
	p.wanted.Store(wanted)
	select {
	case p.changed <- struct{}{}:
	default: // it is going to look
	}
}

// run asks for new connections until ctx ends; without anybody to ask it returns.
func (p *passive) run(ctx context.Context, ask func() ([]lvs.Opened, error), log *slog.Logger) {
	if ask == nil {
		return
	}
	every, failing := time.NewTimer(openedEvery), false
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
			every.Reset(openedEvery)
			continue
		case <-every.C:
		}
		if !p.wanted.Load() {
			continue // nothing wakes it up until somebody wants it
		}
		every.Reset(openedEvery)
		opened, err := ask()
		if err != nil && !failing {
			log.Error("look at new connections", "error", err)
		}
		if failing = err != nil; len(opened) > 0 {
			p.tell(opened)
		}
	}
}
