package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ProbeTimeout is how long a server has to answer a probe.
const ProbeTimeout = time.Second

// probes are those that a Runner has been asked for. The zero value is ready.
type probes struct {
	mu   sync.Mutex
	bell chan struct{} // has an entry while a probe is due
	// giveUp ends the try under way; nil while there is none.
	giveUp context.CancelFunc
}

// ring is the bell, which the first caller makes.
func (p *probes) ring() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bell == nil {
		p.bell = make(chan struct{}, 1)
	}
	return p.bell
}

// Probe has the server asked at once, by one try of at most ProbeTimeout, for which a try
// under way is given up. A server that fails it is down, however many retries it has. An up
// server's outcome is reported even where it is no other verdict. Any goroutine may call it.
func (r *Runner) Probe() {
	bell := r.probes.ring()
	r.probes.mu.Lock()
	defer r.probes.mu.Unlock()
	select {
	case bell <- struct{}{}:
	default: // one is due already
	}
	if r.probes.giveUp != nil {
		r.probes.giveUp()
	}
}

// pause waits for d, or until a probe is due; ok is false where ctx has ended.
func (r *Runner) pause(ctx context.Context, d time.Duration) (probe, ok bool) {
	bell := r.probes.ring()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-bell:
		return true, ctx.Err() == nil
	case <-t.C:
		return false, ctx.Err() == nil
	case <-ctx.Done():
		return false, false
	}
}

// try asks the server once. given is true where that was given up for a probe, which is due.
func (r *Runner) try(ctx context.Context, probe bool) (weight Weight, reason error, given bool) {
	asking, end := context.WithCancel(ctx)
	defer end()
	if probe {
		var late context.CancelFunc
		asking, late = context.WithTimeout(asking, ProbeTimeout)
		defer late()
	}
	r.probes.mu.Lock()
	if len(r.probes.bell) > 0 {
		end() // it was rung behind pause
	}
	r.probes.giveUp = end
	r.probes.mu.Unlock()
	weight, reason = r.ask(asking)
	r.probes.mu.Lock()
	r.probes.giveUp = nil
	r.probes.mu.Unlock()
	if reason == nil || errors.Is(reason, ErrUnfinished) || ctx.Err() != nil {
		return weight, reason, false
	}
	switch asking.Err() {
	case context.DeadlineExceeded:
		reason = fmt.Errorf("no answer within %s", ProbeTimeout)
	case context.Canceled:
		given = true
	}
	return weight, reason, given
}
