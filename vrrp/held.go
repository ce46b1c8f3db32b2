package vrrp

import (
	"fmt"
	"time"

	"weir/vrrp/pace"
)

// pace leaves the next adverts to the transport, where that is a Pacer.
func (v *Instance) pace(last time.Time) {
	pacer, ok := v.transport.(Pacer)
	leaser, leases := v.owner.(Leaser)
	if !ok || !leases {
		return
	}
	lease := leaser.Hold()
	if lease == nil {
		return
	}
	v.pacing = pacer.Pace(Pacing{Advert: v.advert, Last: last, Every: v.cfg.AdvertInterval, Limit: v.cfg.Lease(), Lease: lease})
	v.report = pace.Report{}
}

// collect takes in what the transport has sent by itself; with end, it sends no more.
func (v *Instance) collect(end bool) {
	if !v.pacing {
		return
	}
	r, ok := v.transport.(Pacer).Paced(end)
	if !ok {
		v.pacing = false
		return
	}
	sent, failed := r.Sent-v.report.Sent, r.Failed-v.report.Failed
	v.mu.Lock()
	v.snap.Counters.Sent += sent
	v.snap.Counters.SendErrors += failed
	v.mu.Unlock()
	if sent > 0 {
		v.owner.(Leaser).Renewed(r.Last, r.LeaseErr)
	}
	v.report, v.unsentSince = r, r.Failing
	if !r.Last.IsZero() {
		v.tried = r.Last
	}
	v.pacing = !end && !r.Ended
}

// heldUp says whether a master has sent nothing for so long that every backup has taken over,
// or would: it is to leave, without an advert. That is so when the process, or the machine, was
// stopped. A transport that cannot send is another matter, see unheard.
func (v *Instance) heldUp() bool {
	v.collect(false)
	v.lateBy = max(time.Since(v.tried), v.report.Late)
	return v.lateBy >= v.cfg.Lease()
}

// paced says whether the transport sends by itself, and everything that it sends arrives.
func (v *Instance) paced() bool { return v.pacing && v.report.Err == nil }

// leaveLate is the transition from MASTER to BACKUP of an instance that was held up, with the
// event that came then. It says so when it has left: saying it may take time.
func (v *Instance) leaveLate(e event) stateFunc {
	late := v.lateBy
	next := v.leave(fmt.Sprintf("no advert was sent for %s: this process was held up", late.Round(time.Millisecond)))
	if owner, ok := v.owner.(Leaser); ok {
		owner.HeldUp(late)
	}
	switch {
	case v.faultReason() != "":
		return v.fault
	case e.kind == reconfigured:
		v.adopt()
		v.arm(time.Now(), v.cfg.MasterDownInterval())
	case e.kind == packetReceived:
		v.backupHears(&e.packet)
	}
	return next
}
