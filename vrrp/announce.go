package vrrp

import "time"

// Announcement says why VIPs are announced: the number of rounds hangs on it.
type Announcement uint8

const (
	AsMaster   Announcement = iota // the instance has become master, or did so GARPDelay ago
	LowerHeard                     // a lower master was heard, or was so LowerDelay ago
	Refreshed                      // GARPRefresh has passed again
)

// Announcer is an Owner that announces in as many rounds as each reason asks for; of another
// one Announce is called.
type Announcer interface {
	AnnounceFor(Announcement)
}

// tellNeighbours has the owner announce the VIPs.
func (v *Instance) tellNeighbours(why Announcement) {
	if a, ok := v.owner.(Announcer); ok {
		a.AnnounceFor(why)
		return
	}
	v.owner.Announce()
}

// announceTwice has the owner announce the VIPs now, and once more after a while.
func (v *Instance) announceTwice(why Announcement) {
	v.tellNeighbours(why)
	after := v.cfg.GARPDelay
	if why == LowerHeard {
		after = v.cfg.LowerDelay
	}
	if after > 0 {
		v.again = why
		v.announce.Reset(after)
	}
}

// refreshAfter sets the timer of the next refresh: the first one comes GARPRefresh after the
// second set, as in keepalived.
func (v *Instance) refreshAfter(d time.Duration) {
	if v.refresh.Stop(); v.cfg.GARPRefresh > 0 {
		v.refresh.Reset(d + v.cfg.GARPRefresh)
	}
}

// listensFrom is when an instance begins to listen, and its timers to run: now, or after its
// StartDelay.
func (v *Instance) listensFrom(now time.Time) time.Time {
	if now.Before(v.deafUntil) {
		return v.deafUntil
	}
	return now
}
