package ha

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// leaseHealth is whether an instance's lease can be renewed. The state machine's goroutine
// notes it, and the loop asks.
type leaseHealth struct {
	mu      sync.Mutex
	renewed time.Time // the last time, or the first that failed without one
	failing string    // why it cannot be, once it has run out for that; empty where it can
}

// note takes in a renewal for an advertisement that was sent then.
func (l *leaseHealth) note(at time.Time, lasts time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.renewed, l.failing = at, ""
	case l.renewed.IsZero():
		l.renewed = at
	case at.Sub(l.renewed) >= lasts:
		l.failing = err.Error()
	}
}

func (l *leaseHealth) reason() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failing
}

// LookForBroken has instances step down whose data plane does not work: a lease that has run
// out and cannot be renewed, or a device of theirs that is among these, by name and why. They
// take part again when it does. The loop calls it each second.
func (s *Instances) LookForBroken(devices map[string]string) {
	changed := false
	for _, in := range s.list {
		why := in.brokenBy(devices)
		changed = changed || why != in.broken
		in.broken = why
	}
	if changed {
		s.settle()
	}
}

// brokenBy is why the data plane does not work for an instance; empty where it does. A lease
// that could not be renewed is tried again, for no time.
func (in *instance) brokenBy(devices map[string]string) string {
	if in.owner == nil {
		return ""
	}
	if why := in.owner.health.reason(); why != "" {
		now := time.Now()
		err := in.with.Leases.Renew(in.id, now, 0)
		if err != nil {
			return fmt.Sprintf("its lease cannot be renewed: %v", err)
		}
		in.owner.health.note(now, 0, nil)
	}
	names := []string{in.cfg.Interface}
	for _, a := range in.cfg.Addresses() {
		if !slices.Contains(names, a.Device) && !a.NoTrack {
			names = append(names, a.Device)
		}
	}
	i := slices.IndexFunc(names, func(name string) bool { return devices[name] != "" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("the data plane is not on %s: %s", names[i], devices[names[i]])
}

// isBroken is a fault of the data plane.
func (j *judgement) isBroken(in *instance) {
	if in.broken != "" {
		j.fail("%s", in.broken)
	}
}
