package vrrp

import (
	"context"
	"time"
)

// The state machine of RFC 3768 section 6.4, and FAULT, which keepalived adds.
// "advert 0" is an advertisement of priority 0.
//
//	                        +--------+
//	      +---------------- |  INIT  | ----------------+
//	      |                 +--------+                 |
//	      | start             ^    ^             start |
//	      | (priority         |    |    (priority 255, |
//	      | below 255)   stop |    | stop:     Resume) |
//	      |                   |    | advert 0          |
//	      v                   |    |                   v
//	+----------+              |    |              +----------+
//	|          | -------------+    +------------- |          |
//	|          |                                  |          |
//	|          |  no advert for                   |          |
//	|  BACKUP  |  Master_Down_Interval: advert    |  MASTER  |
//	|          | -------------------------------> |          |
//	|          |  advert of a higher priority, or |          |
//	|          |  equal from a higher address     |          |
//	|          | <------------------------------- |          |
//	+----------+                                  +----------+
//	   |    ^                                        |    ^
//	   |    | fault gone                      fault: |    | fault gone
//	   |    | (priority below 255)          advert 0 |    | (priority 255)
//	   v    |                                        v    |
//	+--------------------------------------------------------+
//	|                         FAULT                          |
//	+--------------------------------------------------------+
//	   ^                                        |
//	   | start with a fault: from INIT          | stop: to INIT

// A state is a method that returns the next one; nil ends Run.
type stateFunc func(context.Context) stateFunc

// event is what a state waits for.
type event struct {
	kind   eventKind
	packet Packet // of packetReceived
}

type eventKind uint8

const (
	stopped eventKind = iota + 1
	faultChanged
	packetReceived
	timerFired
	announceDue
	reconfigured
)

func (v *Instance) next(ctx context.Context) event {
	select {
	case <-ctx.Done():
		return event{kind: stopped}
	case <-v.wake:
		return event{kind: faultChanged}
	case <-v.changed:
		return event{kind: reconfigured}
	case p := <-v.transport.Received():
		return event{kind: packetReceived, packet: p}
	case <-v.timer.C:
		return event{kind: timerFired}
	case <-v.announce.C:
		return event{kind: announceDue}
	}
}

// initial is RFC 3768 section 6.4.1, Startup event.
func (v *Instance) initial(context.Context) stateFunc {
	now := time.Now()
	v.preemptFrom = now
	switch {
	case v.faultReason() != "":
		return v.fault
	// "If the Priority = 255", or the process before this one was master.
	case v.cfg.Priority == PriorityOwner:
		return v.becomeMaster("owner of the addresses")
	case v.cfg.Resume:
		return v.becomeMaster("resumed")
	// keepalived's "state MASTER": listen for one advert, not for three.
	case v.cfg.StartMaster:
		v.arm(now, v.cfg.AdvertInterval+v.cfg.SkewTime())
	// "Set the Master_Down_Timer to Master_Down_Interval".
	default:
		v.arm(now, v.cfg.MasterDownInterval())
	}
	v.enter(Backup, "started")
	return v.backup
}

// backup is RFC 3768 section 6.4.2.
func (v *Instance) backup(ctx context.Context) stateFunc {
	for {
		switch e := v.next(ctx); e.kind {
		// "If a Shutdown event is received": cancel the timer, to INIT.
		case stopped:
			return v.stop
		case faultChanged:
			if v.faultReason() != "" {
				return v.fault
			}
		case reconfigured:
			before := v.cfg.MasterDownInterval()
			v.adopt()
			if v.backupReconfigured(before) {
				return v.becomeMaster("owner of the addresses")
			}
		// "If an ADVERTISEMENT is received".
		case packetReceived:
			v.backupHears(&e.packet)
		// "If the Master_Down_Timer fires": advert, gratuitous ARP, to MASTER.
		case timerFired:
			if v.masterIsDown() {
				return v.becomeMaster("no advert heard")
			}
		}
	}
}

// backupHears is RFC 3768 section 6.4.2, "If an ADVERTISEMENT is received".
func (v *Instance) backupHears(p *Packet) {
	if !v.accept(p) {
		return
	}
	now, priority := time.Now(), p.Advertisement.Priority
	switch {
	// "If the Priority in the ADVERTISEMENT is Zero": wait Skew_Time only.
	case priority == PriorityRelease:
		v.arm(now, v.cfg.SkewTime())
	// "greater than or equal to the local Priority": reset the timer.
	case priority >= v.cfg.Priority:
		v.preemptFrom = time.Time{}
		v.arm(now, v.cfg.MasterDownInterval())
	// "If Preempt_Mode is False": reset the timer.
	case v.cfg.NoPreempt:
		v.arm(now, v.cfg.MasterDownInterval())
	// Else "discard the ADVERTISEMENT", but for keepalived's preempt_delay.
	default:
		v.delayPreemption(now)
	}
}

// delayPreemption leaves a master of lower priority in place until the preempt
// delay has passed; the timer then runs out at that moment. It never brings the
// timer forward: a delay must not hasten.
func (v *Instance) delayPreemption(now time.Time) {
	if v.cfg.PreemptDelay == 0 {
		return
	}
	if v.preemptFrom.IsZero() {
		v.preemptFrom = now
	}
	until := now.Add(v.cfg.MasterDownInterval())
	if end := v.preemptFrom.Add(v.cfg.PreemptDelay); end.Before(until) {
		until = end
	}
	if until.After(v.deadline) {
		v.arm(until, 0)
	}
}

// masterIsDown says whether the master-down timer may be believed, which a
// process that was stopped or starved has to doubt: adverts that wait in the
// queue were heard in time, and one that slept past its time by an advert
// interval has not listened, so it waits for another advert first.
func (v *Instance) masterIsDown() bool {
	late := time.Since(v.deadline)
	for range len(v.transport.Received()) {
		p := <-v.transport.Received()
		v.backupHears(&p)
	}
	if time.Until(v.deadline) > 0 {
		return false
	}
	if late > v.cfg.AdvertInterval {
		v.log.Warn("vrrp timer ran late, listening again", "late", late)
		v.arm(time.Now(), v.cfg.AdvertInterval+v.cfg.SkewTime())
		return false
	}
	return true
}

// becomeMaster is the way into MASTER of RFC 3768 sections 6.4.1 and 6.4.2:
// "Send an ADVERTISEMENT", gratuitous ARP, set the Adver_Timer. The advert goes
// first, so that two who take over at once settle it before either has the VIPs.
func (v *Instance) becomeMaster(why string) stateFunc {
	v.preemptFrom = time.Time{}
	v.advertise(v.cfg.Priority)
	v.enter(Master, why)
	v.announceTwice()
	return v.master
}

// announceTwice asks for gratuitous ARP now and after the GARP delay.
func (v *Instance) announceTwice() {
	v.owner.Announce()
	if v.cfg.GARPDelay > 0 {
		v.announce.Reset(v.cfg.GARPDelay)
	}
}

// master is RFC 3768 section 6.4.3.
func (v *Instance) master(ctx context.Context) stateFunc {
	for {
		switch e := v.next(ctx); e.kind {
		// "If a Shutdown event is received": advert of priority 0, to INIT.
		case stopped:
			return v.handOver
		case faultChanged:
			if v.faultReason() != "" {
				return v.fault
			}
		case reconfigured:
			v.adopt()
			v.advertise(v.cfg.Priority)
		// "If the Adver_Timer fires": advert, reset the timer.
		case timerFired:
			v.advertise(v.cfg.Priority)
		case announceDue:
			v.owner.Announce()
		// "If an ADVERTISEMENT is received".
		case packetReceived:
			if v.masterYields(&e.packet) {
				return v.yield
			}
		}
	}
}

// masterYields is RFC 3768 section 6.4.3, "If an ADVERTISEMENT is received".
func (v *Instance) masterYields(p *Packet) bool {
	if !v.accept(p) {
		return false
	}
	priority := p.Advertisement.Priority
	switch {
	// "If the Priority in the ADVERTISEMENT is Zero": advert, reset the timer.
	case priority == PriorityRelease:
		v.advertise(v.cfg.Priority)
		return false
	// "greater than the local Priority", or equal "and the primary IP Address
	// of the sender is greater than the local primary IP Address": to BACKUP.
	case priority > v.cfg.Priority,
		priority == v.cfg.Priority && p.Source.Compare(v.cfg.Source) > 0:
		return true
	}
	// Else "discard the ADVERTISEMENT". As keepalived does, the other master is
	// answered at once, and who learned its MAC is told better.
	v.log.Warn("vrrp advert of a lower master", "source", p.Source.String(), "priority", int(priority))
	v.advertise(v.cfg.Priority)
	v.announceTwice()
	return false
}

// yield is the way from MASTER to BACKUP of RFC 3768 section 6.4.3: "Cancel the
// Adver_Timer", set the Master_Down_Timer.
func (v *Instance) yield(context.Context) stateFunc {
	v.announce.Stop()
	v.arm(time.Now(), v.cfg.MasterDownInterval())
	v.enter(Backup, "a higher master was heard")
	return v.backup
}

// fault waits until the instance can take part again.
func (v *Instance) fault(ctx context.Context) stateFunc {
	v.release(Fault, v.faultReason())
	for {
		switch e := v.next(ctx); e.kind {
		case stopped:
			return v.stop
		case faultChanged:
			if v.faultReason() == "" {
				return v.recover
			}
		case reconfigured:
			v.adopt()
		case packetReceived:
			v.accept(&e.packet) // counted, and its sender known
		}
	}
}

// recover is a start after a fault: RFC 3768 section 6.4.1 without the wishes
// of the first start.
func (v *Instance) recover(context.Context) stateFunc {
	now := time.Now()
	v.preemptFrom = now
	if v.cfg.Priority == PriorityOwner {
		return v.becomeMaster("fault is gone")
	}
	v.arm(now, v.cfg.MasterDownInterval())
	v.enter(Backup, "fault is gone")
	return v.backup
}

// handOver is a master's stop without a gap: it says that it goes, and lets the
// VIPs go when another has taken over, or when nobody did. RFC 3768 section
// 6.4.3 would have it leave at once, and clients wait for the skew time.
func (v *Instance) handOver(ctx context.Context) stateFunc {
	if v.cfg.HandOver == 0 {
		return v.stop(ctx)
	}
	v.announce.Stop()
	v.advertise(PriorityRelease)
	v.arm(time.Now(), v.cfg.HandOver)
	for {
		select {
		case <-v.timer.C:
			v.enter(Init, "stopped, nobody has taken over")
			return nil
		case p := <-v.transport.Received():
			if v.accept(&p) && p.Advertisement.Priority != PriorityRelease {
				v.enter(Init, "stopped, another has taken over")
				return nil
			}
		}
	}
}

// stop ends Run.
func (v *Instance) stop(context.Context) stateFunc {
	v.release(Init, "stopped")
	return nil
}

// release leaves a state for good: who was master says so first, with an advert
// of priority 0, and lets the VIPs go after (RFC 3768 section 6.4.3).
func (v *Instance) release(to State, why string) {
	if v.snap.State == Master { // read without mu: this goroutine alone writes it
		v.advertise(PriorityRelease)
	}
	v.stopTimers()
	v.enter(to, why)
}
