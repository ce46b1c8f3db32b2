package check

import "golang.org/x/sys/unix"

// dialled begins a turn by a connection, and returns it where it has begun. It returns nil where
// a turn is to be made otherwise: by a checker of another kind, a probe, or where something is
// amiss on this machine, which turn then says.
func (p *polling) dialled() *dial {
	connector, ok := p.Checker.(Connector)
	if !ok {
		return nil
	}
	tcp := connector.Connects()
	if tcp == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.crew.ctx.Err() != nil || p.due || !p.slot() {
		return nil
	}
	fd, to, err := tcp.begin()
	if err != unix.EINPROGRESS { // the try that turn makes fails likewise, and finds out why
		p.leave()
		return nil
	}
	p.dial = &dial{of: p, tcp: tcp, fd: fd, to: to}
	return p.dial
}

// slot takes one of Slots, if there is one left.
func (p *polling) slot() bool {
	if p.Slots == nil {
		return true
	}
	select {
	case p.Slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// leave gives the slot back.
func (p *polling) leave() {
	if p.Slots != nil {
		<-p.Slots
	}
}

// hangUp ends the try under way where that is a connection whose answer nobody has taken in, and
// says whether it was one. The caller holds mu.
func (p *polling) hangUp() bool {
	d := p.dial
	if d == nil || !p.crew.dials.take(d) {
		return false
	}
	_ = unix.Close(d.fd)
	p.dial = nil
	p.leave()
	return true
}

// answered takes in what became of a connection; whoever has taken the dial calls it. What
// changes anything is followed up by a goroutine of its own, since it may have to wait.
func (p *polling) answered(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
	tcp := p.dial.tcp
	p.dial = nil
	if p.stopped || p.crew.ctx.Err() != nil || p.due || err == nil && p.s.passes() {
		p.again(p.Timing.DelayLoop)
		return
	}
	go func() {
		if err != nil {
			err = tcp.reason(p.crew.ctx, err)
		}
		wait := p.follow(Weight{}, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.again(wait)
	}()
}

// passes says whether a good try, which leaves the weight as it is, changes nothing.
func (s *standing) passes() bool {
	return s.up && s.alive && s.failed == 0 && s.trouble == "" && !s.probed && s.weight == nil
}
