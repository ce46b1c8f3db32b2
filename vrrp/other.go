package vrrp

import (
	"net/netip"
	"time"
)

// OtherMaster is another master that a master hears, of a lower priority: two have the VIPs.
type OtherMaster struct {
	Addr         netip.Addr // invalid where there is none
	Priority     uint8
	Since, Heard time.Time // when its first advert was taken in, and its last
	Adverts      uint64
}

// noteOther takes in an advert of another master. It is gone once nothing of it was heard for
// as long as a backup would wait.
func (v *Instance) noteOther(r rival) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now, o := time.Now(), &v.snap.Other
	if !o.Addr.IsValid() {
		o.Since = now
	}
	o.Addr, o.Priority, o.Heard = r.source, r.priority, now
	o.Adverts++
	v.others.Reset(max(v.cfg.Lease(), 3*r.interval))
}

// otherGone is for a master that was heard and is heard no more. It may have announced the
// VIPs last: neighbours learn anew who has them.
func (v *Instance) otherGone() {
	v.mu.Lock()
	o := v.snap.Other
	v.snap.Other = OtherMaster{}
	v.mu.Unlock()
	if !o.Addr.IsValid() {
		return
	}
	v.log.Info("vrrp lower master is heard no more", "source", o.Addr.String(), "times", o.Adverts, "after", o.Heard.Sub(o.Since).Round(time.Millisecond))
	v.tellNeighbours(AsMaster)
}
