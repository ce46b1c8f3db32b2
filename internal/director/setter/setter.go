// Package setter hands states to the data plane, the newest last, by a goroutine of its own.
// The director's loop never waits for the kernel. A large change is cut into steps, and what
// has to be in force soon, such as a verdict of a check, goes before what is left of it.
package setter

import (
	"math"
	"sync"

	"weir/lvs"
)

// StepServers bounds how many real servers a step changes. A virtual server is changed at
// one stroke: one with more servers is a step of its own.
const StepServers = 512

// serviceCost is for how many changed servers the change of a virtual server counts, whatever
// it changes: its table is made anew.
const serviceCost = 4

// Setter hands states over. Its methods may be called by any goroutine; one that is called
// first counts first.
type Setter struct {
	// Set has the data plane do what a state says, which is a whole one each time.
	Set func(lvs.Plan) error

	working sync.WaitGroup

	mu     sync.Mutex // guards what follows
	runs   bool
	has    state // as it was set last
	wanted state // the newest
	// urgent are the services that differ between wanted and what was wanted before.
	urgent map[lvs.ServiceKey]bool
	// soon are told when no service is urgent, whole when the wanted state is in force.
	soon, whole []func(error)
	// setting is held while the data plane is set.
	setting sync.Mutex
}

// Now sets a state and waits for it: at a start nothing else is to be done.
func (s *Setter) Now(plan lvs.Plan) error {
	s.setting.Lock()
	defer s.setting.Unlock()
	s.mu.Lock()
	s.wanted = stateOf(plan)
	s.has = s.wanted
	s.mu.Unlock()
	return s.Set(plan)
}

// Soon has a state be in force before what is left of a large change. A goroutine of the
// setter calls done, with what of that could not be done.
func (s *Setter) Soon(plan lvs.Plan, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := stateOf(plan)
	if s.urgent == nil {
		s.urgent = map[lvs.ServiceKey]bool{}
	}
	for _, key := range s.wanted.differences(next) {
		s.urgent[key] = true
	}
	s.wanted, s.soon = next, append(s.soon, done)
	s.begin()
}

// Change has a state be in force, in as many steps as it takes. Done is as in Soon.
func (s *Setter) Change(plan lvs.Plan, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted, s.whole = stateOf(plan), append(s.whole, done)
	s.begin()
}

// Stop leaves what is left of a large change, and waits until nothing is being set. Those
// who wait for the change are not told.
func (s *Setter) Stop() {
	s.mu.Lock()
	s.whole = nil
	s.mu.Unlock()
	s.working.Wait()
}

func (s *Setter) begin() {
	if !s.runs {
		s.runs = true
		s.working.Go(s.work)
	}
}

// work takes steps until everybody is told.
func (s *Setter) work() {
	for most := StepServers; ; {
		plan, told, more := s.step(most)
		if plan == nil {
			return
		}
		s.setting.Lock()
		err := s.Set(*plan)
		s.setting.Unlock()
		if err != nil && more {
			most = math.MaxInt // the rest at once: whoever is told gets all that could not be done
		} else {
			most = StepServers
		}
		for _, done := range told {
			done(err)
		}
	}
}

// step is the next state to set, which changes at most so many servers, and who is to be told
// then. More says that another step follows for somebody who waits. Without a step it ends
// the work.
func (s *Setter) step(most int) (plan *lvs.Plan, told []func(error), more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.soon)+len(s.whole) == 0 {
		s.runs = false
		return nil, nil, false
	}
	step := s.cut(most)
	s.has = step
	if len(s.urgent) == 0 {
		told, s.soon = s.soon, nil
	}
	if s.has.whole {
		told, s.whole = append(told, s.whole...), nil
	}
	return &step.plan, told, len(s.soon)+len(s.whole) > 0
}

// cut is the state between what is in force and what is wanted that changes at most so many
// servers, but at least one service. It takes out of urgent what it changes.
func (s *Setter) cut(most int) state {
	var first, rest []lvs.ServiceKey
	for _, key := range s.has.differences(s.wanted) {
		if s.urgent[key] {
			first = append(first, key)
		} else {
			rest = append(rest, key)
		}
	}
	clear(s.urgent)
	later := map[lvs.ServiceKey]bool{}
	changed := 0
	for i, key := range append(first, rest...) {
		n := serviceCost + changedServers(s.has.services[key].RealServers, s.wanted.services[key].RealServers)
		if len(later) == 0 && (i == 0 || n <= most-changed) {
			changed += n
			continue
		}
		later[key] = true
		if i < len(first) {
			s.urgent[key] = true
		}
	}
	if len(later) == 0 {
		return s.wanted
	}
	return s.has.towards(s.wanted, later)
}
