package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"weir/conf"
	"weir/internal/dataplane"
	"weir/internal/director"
)

// holder holds the masterships of the process before until this one is ready: a keeper, or
// a caretaker. A nil one of either holds nothing.
type holder interface {
	take()
	handOver(within time.Duration) error
}

// caretaker goes on with the masterships that a process that has died has left, while this
// process loads its programs: with a busy machine that takes longer than a lease.
type caretaker struct {
	leaving atomic.Bool
	cancel  context.CancelFunc
	done    chan struct{}
	leases  *dataplane.Leases
}

// newCaretaker takes up the leases that run of a configuration's instances; nil where there
// are none. It logs how it hands over, if it does.
func newCaretaker(cfg *conf.Config, o runOptions, log *slog.Logger) *caretaker {
	leases, err := dataplane.OpenLeases(o.pinDir)
	if err != nil {
		return nil // nothing is pinned there, or another version's
	}
	machine := director.OnKernel(director.Plane{Leases: leases}, nil, secondariesIn(o.runDir))
	left, err := director.LeftBy(machine, cfg)
	if err != nil {
		log.Warn("go on with what an earlier process left", "error", err)
	}
	if len(left) == 0 {
		leases.Close()
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &caretaker{cancel: cancel, done: make(chan struct{}), leases: leases}
	go func() {
		defer close(c.done)
		if err := director.Keep(ctx, machine, slog.New(endOnly{log.Handler(), ctx, &c.leaving}), left, &c.leaving); err != nil {
			log.Warn("go on with what an earlier process left", "error", err)
		}
	}()
	return c
}

// take leaves everything as it is to the caller.
func (c *caretaker) take() {
	if c == nil {
		return
	}
	c.leaving.Store(true)
	c.end()
}

// handOver hands over to the standby, unless take was called before.
func (c *caretaker) handOver(within time.Duration) error {
	if c == nil {
		return nil
	}
	c.cancel()
	select {
	case <-c.done:
		return c.leases.Close()
	case <-time.After(within):
		return errors.New("what an earlier process left is not handed over in time")
	}
}

func (c *caretaker) end() {
	c.cancel()
	<-c.done
	c.leases.Close()
}
