package vrrp

import (
	"context"
	"net/netip"
	"time"
)

// becomeMaster is the transition to MASTER of RFC 3768 sections 6.4.1 and 6.4.2:
// "Send an ADVERTISEMENT", broadcast gratuitous ARP, "Set the Adver_Timer to
// Advertisement_Interval". The advert is sent before the owner adds the VIPs, so that of
// two directors that take over at the same time one gives way before it has them.
func (v *Instance) becomeMaster(why string) stateFunc {
	v.preemptFrom = time.Time{}
	v.cfg.learnt = 0
	v.advertise(v.cfg.Priority)
	if v.unheard() {
		return v.mute
	}
	v.enter(Master, why)
	v.announceTwice(AsMaster)
	v.refreshAfter(v.cfg.GARPDelay)
	return v.master
}

// master is RFC 3768 section 6.4.3.
func (v *Instance) master(ctx context.Context) stateFunc {
	for {
		e := v.next(ctx)
		if v.heldUp() {
			return v.leaveLate(e)
		}
		switch e.kind {
		// "If a Shutdown event is received": send an advert of priority 0, to INIT.
		case stopped:
			return v.handOver
		// keepalived: a fault of the interface, to FAULT with an advert of priority 0.
		case faultChanged:
			if v.faultReason() != "" {
				return v.fault
			}
		// A reload keeps the state; the backups learn of the new priority at once.
		case reconfigured:
			refresh := v.cfg.GARPRefresh
			v.adopt()
			v.tried = time.Now() // the interval may be a shorter one
			v.advertise(v.cfg.Priority)
			if v.cfg.GARPRefresh != refresh {
				v.refreshAfter(0)
			}
		// keepalived's vrrp_sync_backup: no advert of priority 0 goes out.
		case groupMoved:
			if v.direction() == Backup {
				return v.leave("its sync group has become backup")
			}
		// "If the Adver_Timer fires": send an advert, reset the timer.
		case timerFired:
			if v.paced() {
				v.arm(time.Now(), v.cfg.AdvertInterval)
				continue
			}
			v.advertise(v.cfg.Priority)
		// keepalived's garp_master_delay.
		case announceDue:
			v.tellNeighbours(v.again)
		// keepalived's garp_master_refresh.
		case refreshDue:
			v.tellNeighbours(Refreshed)
			v.refreshAfter(0)
		case otherSilent:
			v.otherGone()
		// "If an ADVERTISEMENT is received".
		case packetReceived:
			if v.masterHears(e.packet) {
				return v.yield
			}
		}
		// An answer to another master sets the Adver_Timer anew, too.
		if v.unheard() {
			return v.mute
		}
	}
}

// masterHears takes in a packet and all that wait behind it, and then answers them once: of
// thousands of adverts the highest counts. It says whether the master yields.
func (v *Instance) masterHears(first Packet) bool {
	var heard heard
	v.masterHearsOne(&first, &heard)
	for range len(v.transport.Received()) {
		p := <-v.transport.Received()
		v.masterHearsOne(&p, &heard)
	}
	switch {
	case v.heldUp():
		v.arm(time.Now(), 0) // the state sees it
	case heard.higher != nil:
		v.higher = *heard.higher
		if v.cfg.HigherSendAdvert {
			v.advertise(v.cfg.Priority)
		}
		v.learn(v.higher.interval)
		return true
	case heard.lower != nil:
		v.answerLower(*heard.lower)
	// "If the Priority in the ADVERTISEMENT is Zero": send an advert, reset the timer.
	case heard.release:
		v.answer()
	}
	return false
}

// heard is what a master has heard since it looked last.
type heard struct {
	higher, lower *rival
	release       bool // an advert of priority 0
}

// rival is another master.
type rival struct {
	source   netip.Addr
	priority uint8
	interval time.Duration
}

// beats says whether a master yields to another: RFC 3768 section 6.4.3, "If the Priority in
// the ADVERTISEMENT is greater than the local Priority", or equal "and the primary IP Address
// of the sender is greater than the local primary IP Address".
func (r rival) beats(o rival) bool {
	return r.priority > o.priority || r.priority == o.priority && r.source.Compare(o.source) > 0
}

// masterHearsOne is RFC 3768 section 6.4.3, "If an ADVERTISEMENT is received".
func (v *Instance) masterHearsOne(p *Packet, h *heard) {
	if !v.accept(p) {
		return
	}
	r := rival{p.Source, p.Advertisement.Priority, p.Advertisement.Interval}
	switch {
	case r.priority == PriorityRelease:
		h.release = true
	case r.beats(rival{source: v.cfg.Source, priority: v.cfg.Priority}):
		if h.higher == nil || r.beats(*h.higher) {
			h.higher = &r
		}
	case h.lower == nil || r.beats(*h.lower):
		h.lower = &r
	}
}

const (
	// answerEvery is the least time between two adverts that answer others.
	answerEvery = 100 * time.Millisecond
	// announceEvery is the least time between two announcements for that reason: each is
	// several frames for each VIP.
	announceEvery = time.Second
	// tellEvery is the least time between two lines of the log about it.
	tellEvery = time.Minute
)

// answer sends an advert before its time, unless one has just been sent for that reason.
func (v *Instance) answer() {
	if now := time.Now(); now.Sub(v.answered) >= answerEvery {
		v.answered = now
		v.advertise(v.cfg.Priority)
	}
}

// answerLower is for another master of lower priority: "Discard ADVERTISEMENT". As in
// keepalived, an advert answers it at once, and gratuitous ARP corrects the neighbours that
// learned its MAC address.
func (v *Instance) answerLower(r rival) {
	now := time.Now()
	v.noteOther(r)
	v.lowers++
	if v.lowerTold.IsZero() || now.Sub(v.lowerTold) >= tellEvery {
		v.log.Warn("vrrp advert of a lower master", "source", r.source.String(), "priority", int(r.priority), "times", v.lowers)
		v.lowerTold, v.lowers = now, 0
	}
	if !v.cfg.LowerNoAdvert {
		v.answer()
	}
	if now.Sub(v.lowerAnnounced) >= announceEvery {
		v.lowerAnnounced = now
		v.announceTwice(LowerHeard)
	}
}
