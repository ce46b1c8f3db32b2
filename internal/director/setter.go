package director

import (
	"sync"

	"weir/internal/cluster"
	"weir/lvs"
)

// setter hands states to the data plane, the newest last. The loop's goroutine calls it.
type setter struct {
	forwarder *Forwarder
	begun     uint64 // states so far
	later     sync.WaitGroup

	mu      sync.Mutex // held while the data plane is set
	inForce uint64     // the newest one that was handed over; guarded by mu
}

// Set makes the data plane do what a state says.
func (s *setter) Set(state lvs.Plan) error {
	s.begun++
	return s.hand(state, s.begun)
}

// setLater does so without waiting: programs for other devices take the kernel a while to
// verify, and no VRRP instance is to wait for that. Failed is called by another goroutine.
func (s *setter) setLater(state lvs.Plan, failed func(error)) {
	s.begun++
	number := s.begun
	s.later.Go(func() {
		var err error
		if caught := cluster.Carefully("the data plane's devices", func() { err = s.hand(state, number) }); caught != nil {
			err = caught
		}
		if err != nil {
			failed(err)
		}
	})
}

// hand does nothing where a newer state is in force, which has all that this one has.
func (s *setter) hand(state lvs.Plan, number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < s.inForce {
		return nil
	}
	s.inForce = number
	return (*s.forwarder).Set(state)
}

// wait waits until nothing is being set.
func (s *setter) wait() { s.later.Wait() }
