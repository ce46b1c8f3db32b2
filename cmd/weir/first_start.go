package main

import (
	"context"

	"weir/internal/cluster"
	"weir/internal/dataplane"
	"weir/lvs"
)

// firstStart is a data plane that is set up, until ctx ends: the kernel may verify its programs
// for many seconds. Where it has never been set up, Set does not wait for that then. The
// process is to end; nobody may close the data plane, which the kernel is still given things of.
type firstStart struct {
	*dataplane.Plane
	ctx context.Context
}

func (f firstStart) Set(state lvs.Plan) error {
	if !f.Unfinished() {
		return f.Plane.Set(state)
	}
	return unlessEnded(f.ctx, func() error { return f.Plane.Set(state) })
}

// unlessEnded does something and waits for it, unless ctx ends before.
func unlessEnded(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		if caught := cluster.Carefully("the start of the data plane", func() { err = do() }); caught != nil {
			err = caught
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
