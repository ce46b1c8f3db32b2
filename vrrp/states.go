package vrrp

import (
	"context"
	"fmt"
	"time"
)

// The state machine of RFC 3768 section 6.4, with FAULT, which keepalived adds.
// "advert 0" is an advertisement of priority 0. The quotations above the cases are
// from the section that the method names; cases without one are weir's own or
// keepalived's.
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
//	|      FAULT (also of a master that cannot send)         |
//	+--------------------------------------------------------+
//	   ^                                        |
//	   | start with a fault: from INIT          | stop: to INIT

// stateFunc is a state: it runs until the instance leaves the state, and returns the
// next one. nil ends Run.
type stateFunc func(context.Context) stateFunc

// event is what a state waits for.
type event struct {
	kind   eventKind
	packet Packet // of packetReceived
}

type eventKind uint8

const (
	stopped        eventKind = iota + 1 // the context of Run has ended
	faultChanged                        // SetFault was called
	packetReceived                      // by the transport
	timerFired                          // Master_Down_Timer or Adver_Timer
	announceDue                         // the second gratuitous ARP
	reconfigured                        // Reconfigure was called
	groupMoved                          // Follow was called
	refreshDue                          // gratuitous ARP of a master, again and again
	otherSilent                         // another master is heard no more
)

// next waits for one event. Of several that are due it takes one at random.
func (v *Instance) next(ctx context.Context) event {
	select {
	case <-ctx.Done():
		return event{kind: stopped}
	case <-v.wake:
		return event{kind: faultChanged}
	case <-v.changed:
		return event{kind: reconfigured}
	case <-v.direct:
		return event{kind: groupMoved}
	case p := <-v.transport.Received():
		return event{kind: packetReceived, packet: p}
	case <-v.timer.C:
		return event{kind: timerFired}
	case <-v.announce.C:
		return event{kind: announceDue}
	case <-v.refresh.C:
		return event{kind: refreshDue}
	case <-v.others.C:
		return event{kind: otherSilent}
	}
}

// initial is RFC 3768 section 6.4.1, Startup event.
func (v *Instance) initial(context.Context) stateFunc {
	v.deafUntil = time.Now().Add(v.cfg.StartDelay)
	now := v.deafUntil
	v.preemptFrom = now
	switch {
	case v.faultReason() != "":
		return v.fault
	// "If the Priority = 255 (i.e., the router owns the IP address(es) …)".
	case v.cfg.Priority == PriorityOwner && v.cfg.StartDelay == 0 && v.mayTakeOver():
		return v.becomeMaster("owner of the addresses")
	// The process before this one was master, and its lease has not run out.
	case v.cfg.Resume:
		return v.becomeMaster("resumed")
	case v.cfg.Priority == PriorityOwner && v.mayTakeOver():
		v.arm(now, 0)
	// keepalived's "state MASTER": wait for one advert interval instead of three.
	case v.cfg.StartMaster:
		v.arm(now, v.cfg.AdvertInterval+v.cfg.SkewTime())
	// "else: Set the Master_Down_Timer to Master_Down_Interval; Transition to the
	// {Backup} state".
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
		// "If a Shutdown event is received": cancel the Master_Down_Timer, to INIT.
		case stopped:
			return v.stop
		// keepalived: a fault of the interface, to FAULT.
		case faultChanged:
			if v.faultReason() != "" {
				return v.fault
			}
		// A reload keeps the state, unless the priority is now 255.
		case reconfigured:
			before := v.cfg
			v.adopt()
			if v.backupReconfigured(&before) {
				return v.becomeMaster("owner of the addresses")
			}
		// "If an ADVERTISEMENT is received".
		case packetReceived:
			v.backupHears(&e.packet)
		// "If the Master_Down_Timer fires": send an advert and gratuitous ARP, to
		// MASTER.
		case timerFired:
			if !v.masterIsDown() {
				continue
			}
			if v.mayTakeOver() {
				return v.becomeMaster("no advert heard")
			}
			v.arm(time.Now(), v.cfg.MasterDownInterval())
		// keepalived's vrrp_sync_master.
		case groupMoved:
			if v.direction() == Master {
				return v.becomeMaster("its sync group has become master")
			}
		}
	}
}

// backupHears is RFC 3768 section 6.4.2, "If an ADVERTISEMENT is received".
func (v *Instance) backupHears(p *Packet) {
	if !v.accept(p) || time.Now().Before(v.deafUntil) {
		return
	}
	now, priority := time.Now(), p.Advertisement.Priority
	switch {
	// "If the Priority in the ADVERTISEMENT is Zero": set the timer to Skew_Time.
	case priority == PriorityRelease:
		v.arm(now, v.cfg.SkewTime())
	// "If the Priority in the ADVERTISEMENT is greater than or equal to the local
	// Priority": reset the timer to Master_Down_Interval.
	case priority >= v.cfg.Priority:
		v.preemptFrom = time.Time{}
		v.learn(p.Advertisement.Interval)
		v.arm(now, v.cfg.MasterDownInterval())
		v.givesWayInGroup()
	// "If Preempt_Mode is False": reset the timer to Master_Down_Interval.
	case v.cfg.NoPreempt:
		v.learn(p.Advertisement.Interval)
		v.arm(now, v.cfg.MasterDownInterval())
		v.givesWayInGroup()
	// Else "Discard the ADVERTISEMENT", unless keepalived's preempt_delay runs.
	default:
		if v.cfg.PreemptDelay > 0 {
			v.learn(p.Advertisement.Interval)
		}
		v.delayPreemption(now)
	}
}

// delayPreemption leaves a master of lower priority in place until PreemptDelay has
// passed: each of its adverts sets the timer to that moment, or to a whole
// Master_Down_Interval where that is earlier. It never sets the timer to an earlier
// time than before.
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
		v.givesWayInGroup()
	}
}

// masterIsDown says whether no master is there when the Master_Down_Timer has fired.
// A process that was stopped or got no CPU cannot rely on its timer alone: adverts that
// wait in the queue arrived in time and are taken in first; and where the timer fired
// later than an advert interval after its deadline, adverts may have been lost, so that
// the instance waits for another one before it takes over.
func (v *Instance) masterIsDown() bool {
	late := time.Since(v.deadline)
	for range len(v.transport.Received()) {
		p := <-v.transport.Received()
		v.backupHears(&p)
	}
	if time.Until(v.deadline) > 0 {
		return false
	}
	if late > max(v.cfg.masterInterval(), lateness) {
		v.log.Warn("vrrp timer ran late, listening again", "late", late)
		v.arm(time.Now(), v.cfg.masterInterval()+v.cfg.SkewTime())
		return false
	}
	return true
}

// lateness is by how much a timer may be late though the machine is well: adverts may come
// more often than that.
const lateness = 50 * time.Millisecond

// yield is the transition from MASTER to BACKUP of RFC 3768 section 6.4.3: "Cancel
// Adver_Timer; Set Master_Down_Timer to Master_Down_Interval".
func (v *Instance) yield(context.Context) stateFunc {
	return v.leave(fmt.Sprintf("a higher master was heard: %s with priority %d", v.higher.source, v.higher.priority))
}

// leave is the transition from MASTER to BACKUP.
func (v *Instance) leave(why string) stateFunc {
	v.announce.Stop()
	v.refresh.Stop()
	v.arm(time.Now(), v.cfg.MasterDownInterval())
	v.enter(Backup, why)
	return v.backup
}

// fault is keepalived's FAULT: the instance sends nothing and waits until its fault is
// gone.
func (v *Instance) fault(ctx context.Context) stateFunc {
	v.release(Fault, v.faultReason())
	return v.faulted(ctx)
}

func (v *Instance) faulted(ctx context.Context) stateFunc {
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
			v.accept(&e.packet) // only counts it and tells the owner of its sender
		}
	}
}

// unheard says that none of a master's adverts could be sent for so long that every backup
// has taken over, or would.
func (v *Instance) unheard() bool {
	return !v.unsentSince.IsZero() && time.Since(v.unsentSince) >= v.cfg.Lease()
}

// mute is FAULT of an instance whose adverts cannot be sent (no route, a firewall), so that
// another director has taken over while this one still has the VIPs. It listens, and tries
// to send at each advert interval: one that is sent makes it master again. A master that it
// leaves in place makes it a backup; its adverts are still taken for unsent then, so that it
// is master no more until one is sent.
func (v *Instance) mute(ctx context.Context) stateFunc {
	reason := "adverts cannot be sent: " + v.sendError
	v.release(Fault, reason)
	v.setMute(reason)
	defer v.setMute("")
	v.arm(time.Now(), v.cfg.AdvertInterval)
	for {
		switch e := v.next(ctx); e.kind {
		case stopped:
			return v.stop
		case faultChanged:
			if v.faultReason() != "" {
				return v.faulted
			}
		case reconfigured:
			v.adopt()
		case packetReceived:
			if v.accept(&e.packet) && v.givesWay(e.packet.Advertisement.Priority) {
				v.learn(e.packet.Advertisement.Interval)
				v.arm(time.Now(), v.cfg.MasterDownInterval())
				v.enter(Backup, "another director was heard")
				return v.backup
			}
		case timerFired:
			if v.advertise(v.cfg.Priority); v.unsentSince.IsZero() {
				v.enter(Master, "adverts are sent again")
				v.announceTwice(AsMaster)
				v.refreshAfter(v.cfg.GARPDelay)
				return v.master
			}
		}
	}
}

// givesWay says whether an instance leaves a master of this priority in place.
func (v *Instance) givesWay(priority uint8) bool {
	return priority != PriorityRelease && (priority >= v.cfg.Priority || v.cfg.NoPreempt)
}

// recover is a start after a fault: RFC 3768 section 6.4.1, without StartMaster and
// Resume, which hold for the first start only.
func (v *Instance) recover(context.Context) stateFunc {
	v.unsentSince = time.Time{}
	v.adopt() // what the instance is to speak by comes before the word that it can
	v.cfg.learnt = 0
	now := v.listensFrom(time.Now())
	v.preemptFrom = now
	if v.cfg.Priority == PriorityOwner && v.mayTakeOver() {
		return v.becomeMaster("fault is gone")
	}
	v.arm(now, v.cfg.MasterDownInterval())
	v.enter(Backup, "fault is gone")
	return v.backup
}

// handOver stops a master so that clients do not notice: it sends an advert of priority
// 0, but keeps the VIPs until another director sends adverts, HandOver at most. RFC 3768
// section 6.4.3 has it leave at once, so that nobody has the VIPs during the backup's
// skew time.
func (v *Instance) handOver(ctx context.Context) stateFunc {
	if v.suspended.Load() {
		v.advertise(v.cfg.Priority)
		return nil
	}
	if v.cfg.HandOver == 0 {
		return v.stop(ctx)
	}
	v.announce.Stop()
	v.refresh.Stop()
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

// release enters FAULT or INIT. A master first sends an advert of priority 0 (RFC 3768
// section 6.4.3, Shutdown event); the owner removes the VIPs after that.
func (v *Instance) release(to State, why string) {
	if v.snap.State == Master { // read without mu: only this goroutine writes it
		v.advertise(PriorityRelease)
	}
	v.stopTimers()
	v.enter(to, why)
}
