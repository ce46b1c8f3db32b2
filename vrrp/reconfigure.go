package vrrp

import "time"

// change is what Reconfigure hands over to Run's goroutine.
type change struct {
	cfg       Config
	transport Transport // nil keeps the one there is
	taken     func()
}

// Reconfigure has a running instance go on by another configuration, which
// Validate has found good. State, counters and what was heard stay; a master tells
// of its new priority at once, and a backup waits for its own new time. Where
// transport is not nil, adverts go that way from then on. Taken is called once
// nothing uses the old configuration and transport any more, by the instance's
// goroutine: nil where nobody has to know.
func (v *Instance) Reconfigure(cfg Config, transport Transport, taken func()) {
	v.mu.Lock()
	v.changes = append(v.changes, change{cfg, transport, taken})
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default: // it is waiting to be looked at already
	}
}

// adopt takes up what Reconfigure has handed over.
func (v *Instance) adopt() {
	v.mu.Lock()
	changes := v.changes
	v.changes = nil
	v.mu.Unlock()
	for _, c := range changes {
		v.mu.Lock()
		v.snap.Priority = c.cfg.Priority
		v.mu.Unlock()
		v.setConfig(c.cfg)
		if c.transport != nil {
			v.transport = c.transport
		}
		if c.taken != nil {
			c.taken()
		}
	}
}

// setConfig is for New and Run's goroutine.
func (v *Instance) setConfig(cfg Config) {
	v.cfg, v.log = cfg, v.base.With("instance", cfg.Name)
	v.advert = Advertisement{
		VRID: cfg.VRID, Priority: cfg.Priority, Interval: cfg.AdvertInterval,
		Auth: cfg.Auth, VIPs: cfg.VIPs,
	}
}

// backupReconfigured waits for the new Master_Down_Interval from now on, where it
// is another one: what was heard before counts no longer than it did.
func (v *Instance) backupReconfigured(before time.Duration) (takesOver bool) {
	if v.cfg.Priority == PriorityOwner {
		return true
	}
	if now := v.cfg.MasterDownInterval(); now != before {
		v.arm(time.Now(), now)
	}
	return false
}
