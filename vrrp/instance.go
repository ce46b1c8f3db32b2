package vrrp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// State is what an instance is at the moment. The numbers are those of
// keepalived's dumps and of SNMP.
type State uint8

const (
	Init   State = 0 // not running
	Backup State = 1 // listens to a master
	Master State = 2 // has the VIPs
	Fault  State = 3 // cannot take part: interface down, no address
)

func (s State) String() string {
	switch s {
	case Init:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Master:
		return "MASTER"
	case Fault:
		return "FAULT"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Transport carries the advertisements of one instance. Link is the one over
// real sockets.
type Transport interface {
	// Send sends to the group or to every unicast peer. Only the instance's
	// goroutine calls it. An error means that nobody was sent to.
	Send(Advertisement) error
	// Received delivers what came in. The channel stays open while the
	// instance runs.
	Received() <-chan Packet
}

// Owner does what the instance decides. The instance's goroutine calls it and
// waits: whatever takes longer than a part of a second belongs elsewhere.
type Owner interface {
	// Enter tells of each change of state. On becoming master the first advert
	// has been sent before; on ceasing to be, the last one. So VIPs are added
	// when to is Master, and removed when from is.
	Enter(from, to State)
	// Announce asks for gratuitous ARP for the VIPs: after Enter, again after
	// the GARP delay, and after another master of lower priority was heard.
	Announce()
	// Sent tells of each advert sent that claims the VIPs, by the moment just
	// before the sending: the lease runs from there.
	Sent(at time.Time)
	// Heard tells of each valid advert that came straight from its sender, so
	// that mac is another director's.
	Heard(peer netip.Addr, mac net.HardwareAddr)
}

// Instance is one virtual router: make it with New, then Run it once.
type Instance struct {
	cfg       Config
	transport Transport
	owner     Owner
	log       *slog.Logger
	base      *slog.Logger  // without the instance's name
	wake      chan struct{} // the fault has changed
	changed   chan struct{} // changes has some

	mu      sync.Mutex // guards what follows; only Run's goroutine writes snap but for snap.Fault
	snap    Snapshot
	changes []change

	// What follows belongs to Run's goroutine.
	advert   Advertisement
	timer    *time.Timer // Master_Down_Timer in backup, Adver_Timer in master
	deadline time.Time   // when timer fires
	announce *time.Timer // the second set of gratuitous ARP
	// preemptFrom is when PreemptDelay began to run; zero while a master of no
	// lower priority is there.
	preemptFrom time.Time
	sendError   string // of the last advert; empty is none
	lastLogged  [numDrops]time.Time
}

// New makes an instance. The error names the field of cfg that cannot be.
func New(cfg Config, transport Transport, owner Owner, logger *slog.Logger) (*Instance, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Instance{
		transport: transport,
		owner:     owner,
		base:      logger,
		wake:      make(chan struct{}, 1),
		changed:   make(chan struct{}, 1),
		snap:      Snapshot{Priority: cfg.Priority},
	}
	v.setConfig(cfg)
	return v, nil
}

// Run is the instance's life. A cancelled context is its clean stop: a master
// sends a last advert of priority 0, the owner is told, and Run returns nil.
func (v *Instance) Run(ctx context.Context) error {
	v.timer, v.announce = time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	v.stopTimers()
	for state := stateFunc(v.initial); state != nil; {
		state = state(ctx)
	}
	v.stopTimers()
	v.adopt() // nobody else would say that the old transport is free
	return nil
}

// SetFault says that the instance cannot take part, and why: its interface is
// down, has no address. An empty reason says that it can again.
func (v *Instance) SetFault(reason string) {
	v.mu.Lock()
	v.snap.Fault = reason
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default: // a wake-up is already waiting, and will see this reason
	}
}

func (v *Instance) faultReason() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snap.Fault
}

// enter changes the state and tells the owner.
func (v *Instance) enter(to State, why string) {
	v.mu.Lock()
	from := v.snap.State
	v.snap.State, v.snap.Since = to, time.Now()
	switch {
	case to == Master:
		v.snap.Counters.BecameMaster++
	case from == Master:
		v.snap.Counters.ReleasedMaster++
	}
	v.mu.Unlock()
	v.log.Info("vrrp state changed", "from", from.String(), "to", to.String(), "why", why)
	v.owner.Enter(from, to)
}

// advertise sends one advert and sets the timer for the next, both from the
// moment before the sending.
func (v *Instance) advertise(priority uint8) {
	advert, at := v.advert, time.Now()
	advert.Priority = priority
	err := v.transport.Send(advert)
	v.arm(at, v.cfg.AdvertInterval)
	v.countSent(priority, err)
	if err == nil && priority != PriorityRelease {
		v.owner.Sent(at)
	}
}

// countSent logs a failure when it begins, changes or ends, not each second.
func (v *Instance) countSent(priority uint8, err error) {
	v.mu.Lock()
	counters := &v.snap.Counters
	switch {
	case err != nil:
		counters.SendErrors++
	case priority == PriorityRelease:
		counters.Sent++
		counters.PriorityZeroSent++
	default:
		counters.Sent++
	}
	v.mu.Unlock()

	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == v.sendError {
		return
	}
	v.sendError = text
	if text == "" {
		v.log.Info("vrrp adverts are sent again")
		return
	}
	v.log.Warn("vrrp advert not sent", "error", text)
}

// arm sets the state's timer to d after from.
func (v *Instance) arm(from time.Time, d time.Duration) {
	v.deadline = from.Add(d)
	v.timer.Reset(time.Until(v.deadline))
}

func (v *Instance) stopTimers() {
	v.timer.Stop()
	v.announce.Stop()
}
