package check

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ProbeTimeout is how long a server has to answer a probe.
const ProbeTimeout = time.Second

// Probe has the server asked at once, by one try of at most ProbeTimeout, for which a try
// under way is given up. A server that fails it is down, however many retries it has. An up
// server's outcome is reported even where it is no other verdict. Any goroutine may call it
// once Start has returned.
func (r *Runner) Probe() {
	p := r.polling
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = true
	switch {
	case p.giveUp != nil:
		p.giveUp()
	case p.hangUp() || p.crew.turns.remove(&p.entry): // otherwise a turn begins, or has made its try: it looks at due
		p.crew.turns.put(&p.entry, 0)
	}
}

// try asks the server once: by a probe where one is due. given is true where it was given up
// for a probe, which is due.
func (p *polling) try() (weight Weight, reason error, given bool) {
	asking, end := context.WithCancel(p.crew.ctx)
	defer end()
	p.mu.Lock()
	if p.stopped {
		end()
	}
	p.s.probed, p.due, p.giveUp = p.due, false, end
	p.mu.Unlock()
	if p.s.probed {
		var late context.CancelFunc
		asking, late = context.WithTimeout(asking, ProbeTimeout)
		defer late()
	}
	weight, reason = p.ask(asking)
	p.mu.Lock()
	p.giveUp = nil
	p.mu.Unlock()
	switch {
	case reason == nil || errors.Is(reason, ErrUnfinished):
	case errors.Is(asking.Err(), context.DeadlineExceeded):
		reason = fmt.Errorf("no answer within %s", ProbeTimeout)
	case asking.Err() != nil:
		given = true
	}
	return weight, reason, given
}
