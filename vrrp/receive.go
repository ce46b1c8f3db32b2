package vrrp

import (
	"errors"
	"net/netip"
	"time"
)

// accept checks a received packet, counts it, and tells the owner of its sender. Only an
// advert for which it returns true may move the state machine.
func (v *Instance) accept(p *Packet) bool {
	err := v.cfg.check(p)
	if dropReason(err) == DropVIPs && v.cfg.SkipVIPCheck && v.snap.Peer.Addr == p.Source { // only this goroutine writes it
		err = nil
	}
	if err != nil {
		v.countDrop(p, err)
		// RFC 3768 section 7.1: an advert with other addresses is logged and dropped,
		// unless its sender is the owner of the addresses.
		if reason := dropReason(err); reason != DropVIPs || p.Advertisement.Priority != PriorityOwner {
			return false
		}
	}
	if v.cfg.OwnerIgnoresAdverts && v.cfg.Priority == PriorityOwner {
		return false
	}
	v.mu.Lock()
	v.snap.Counters.Received++
	if p.Advertisement.Priority == PriorityRelease {
		v.snap.Counters.PriorityZeroReceived++
	}
	v.snap.Peer = Peer{Addr: p.Source, Priority: p.Advertisement.Priority, Heard: time.Now(), Interval: p.Advertisement.Interval}
	v.mu.Unlock()
	if p.TTL == TTL {
		v.owner.Heard(p.Source, p.MAC)
	}
	return true
}

// learn takes the interval of a master that is left in place for the one that its adverts come
// at (RFC 5798 section 6.4.2: "Set Master_Adver_Interval to Adver Interval contained in the
// ADVERTISEMENT"). A master that says 0 is taken to send as often as this one would.
func (v *Instance) learn(interval time.Duration) {
	if v.cfg.version() == Version3 {
		v.cfg.learnt = interval
	}
}

// Stranger is an Owner that is told of adverts of other virtual routers on its segment.
type Stranger interface {
	// OtherVRID tells of an advert with another VRID. It does not wait.
	OtherVRID(vrid uint8, from netip.Addr)
}

// tellOtherVRID tells the owner of an advert of another virtual router.
func (v *Instance) tellOtherVRID(p *Packet) {
	if owner, wants := v.owner.(Stranger); wants {
		owner.OtherVRID(p.Advertisement.VRID, p.Source)
	}
}

// countDrop counts every drop and logs each reason at most once a minute, since a peer
// with another password sends an advert each second.
func (v *Instance) countDrop(p *Packet, err error) {
	reason := dropReason(err)
	v.mu.Lock()
	v.snap.Counters.Drops[reason]++
	v.mu.Unlock()
	if reason == DropVRID {
		v.tellOtherVRID(p)
	}
	last := v.lastLogged[reason]
	if reason == DropVRID || (!last.IsZero() && time.Since(last) < time.Minute) {
		return
	}
	v.lastLogged[reason] = time.Now()
	v.log.Warn("vrrp packet dropped", "source", p.Source.String(), "why", err.Error())
}

// dropReason is the Reason of the *DropError in err. Where a Transport put another error
// into Packet.Err it is DropHeader. Without an error it is numDrops.
func dropReason(err error) Drop {
	if err == nil {
		return numDrops
	}
	var drop *DropError
	if errors.As(err, &drop) && drop.Reason < numDrops {
		return drop.Reason
	}
	return DropHeader
}
