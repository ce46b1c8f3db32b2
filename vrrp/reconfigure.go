package vrrp

import "time"

// change is one call of Reconfigure, for Run's goroutine.
type change struct {
	cfg       Config
	transport Transport // nil keeps the present one
	taken     func()    // nil where nobody waits
}

// Reconfigure gives a running instance another configuration, which Validate must have
// accepted. It returns at once. State, counters and the last peer stay. A master sends an
// advert with its new priority at once; a backup whose Master_Down_Interval is another
// one waits for it from now on; a backup whose priority is now 255 becomes master.
//
// Where transport is not nil, adverts use it from then on. The instance's goroutine calls
// taken, if it is not nil, once the old configuration and transport are no longer used.
func (v *Instance) Reconfigure(cfg Config, transport Transport, taken func()) {
	v.mu.Lock()
	v.changes = append(v.changes, change{cfg, transport, taken})
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default: // the wake-up that is pending will take this change, too
	}
}

// adopt applies the changes that Reconfigure has left.
func (v *Instance) adopt() {
	v.mu.Lock()
	changes := v.changes
	v.changes = nil
	v.mu.Unlock()
	for _, c := range changes {
		was := v.cfg.Priority
		v.setConfig(c.cfg)
		if v.cfg.Priority != was {
			v.log.Info("vrrp priority changed", "from", int(was), "to", int(v.cfg.Priority))
		}
		if c.transport != nil {
			v.transport = c.transport
		}
		if c.taken != nil {
			c.taken()
		}
	}
}

// setConfig sets the configuration and what follows from it. Only New and Run's
// goroutine call it.
func (v *Instance) setConfig(cfg Config) {
	v.mu.Lock()
	v.snap.Priority, v.snap.Config = cfg.Priority, cfg
	v.mu.Unlock()
	if cfg.version() == Version3 && cfg.AdvertInterval == v.cfg.AdvertInterval {
		cfg.learnt = v.cfg.learnt
	}
	v.cfg, v.log = cfg, v.base.With("instance", cfg.Name)
	v.advert = Advertisement{
		Version: cfg.version(), VRID: cfg.VRID, Priority: cfg.Priority, Interval: cfg.AdvertInterval,
		Auth: cfg.Auth.onWire(), VIPs: cfg.VIPs,
	}
}

// backupReconfigured sets the timer of a backup whose Master_Down_Interval has changed
// to the new interval from now on. Where only its Skew_Time has, because trackers have
// changed the priority, the time that has passed counts, as in keepalived: a priority that
// changes again and again does not keep the backup from taking over. It returns true where
// the backup has to become master.
func (v *Instance) backupReconfigured(before *Config) (takesOver bool) {
	if v.cfg.Priority == PriorityOwner {
		return true
	}
	switch was, now := before.MasterDownInterval(), v.cfg.MasterDownInterval(); {
	case was == now:
	case before.Lease() == v.cfg.Lease():
		v.arm(v.deadline, now-was)
	default:
		v.arm(time.Now(), now)
	}
	return false
}
