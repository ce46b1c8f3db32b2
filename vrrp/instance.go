package vrrp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// State is a state of RFC 3768 section 6.4, or FAULT. The numbers are those of
// keepalived's dumps and of its SNMP MIB (vrrpInstanceState).
type State uint8

const (
	Init   State = 0 // not running
	Backup State = 1 // listens to the master's adverts
	Master State = 2 // sends adverts and has the VIPs
	Fault  State = 3 // cannot take part: the interface is down or has no address
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

// Transport carries the advertisements of one instance. Link carries them over real
// sockets.
type Transport interface {
	// Send sends an advertisement to the group or to every unicast peer. Only the
	// instance's goroutine calls it. It returns an error only where it could send to
	// nobody.
	Send(Advertisement) error
	// Received delivers the packets that came in, valid or not. The channel stays open
	// while the instance runs.
	Received() <-chan Packet
}

// Owner does what the instance decides. The instance's goroutine calls it and waits for
// it: a call must take much less than an advert interval.
type Owner interface {
	// Enter tells of each change of state. The first advert of a new master is sent
	// before it, and so is the last one of a master that leaves: VIPs are added when to
	// is Master, and removed when from is.
	Enter(from, to State)
	// Announce asks for gratuitous ARP for the VIPs: after a master's Enter, once more
	// after GARPDelay, and after an advert of a master with lower priority.
	Announce()
	// Sent tells of each advert that claims the VIPs. At is the moment just before it
	// was sent, from which Config.Lease runs.
	Sent(at time.Time)
	// Heard tells of each valid advert that no router has forwarded, so that mac is
	// another director's address on this segment.
	Heard(peer netip.Addr, mac net.HardwareAddr)
}

// Instance is one virtual router on one interface: make it with New, then Run it once.
// SetFault, Reconfigure and Snapshot may be called from any goroutine.
type Instance struct {
	cfg       Config
	transport Transport
	owner     Owner
	log       *slog.Logger
	base      *slog.Logger  // without the instance's name
	wake      chan struct{} // SetFault was called
	changed   chan struct{} // changes is not empty
	direct    chan struct{} // directed was set
	suspended atomic.Bool   // a master that is stopped leaves everything to the next process

	mu       sync.Mutex // guards what follows
	snap     Snapshot   // written by Run's goroutine only, except for snap.Fault
	changes  []change
	directed State // see Follow

	// The fields below belong to Run's goroutine.
	advert   Advertisement
	timer    *time.Timer  // Master_Down_Timer in backup, Adver_Timer in master
	deadline time.Time    // when timer fires
	announce *time.Timer  // the second gratuitous ARP
	again    Announcement // what it is for
	refresh  *time.Timer  // the next refresh of gratuitous ARP
	others   *time.Timer  // until another master is taken to be gone
	// deafUntil is when StartDelay is over.
	deafUntil time.Time
	// preemptFrom is when PreemptDelay began to run; zero while the master has at
	// least this instance's priority.
	preemptFrom    time.Time
	higher         rival               // whom it yielded to last
	answered       time.Time           // when another's advert was last answered
	lowerAnnounced time.Time           // when the VIPs were last announced because of a lower master
	lowerTold      time.Time           // when a lower master was last logged
	lowers         int                 // how often one was answered since
	sendError      string              // of the last advert; empty is none
	unsentSince    time.Time           // when the first of the adverts failed of which none was sent since
	lastLogged     [numDrops]time.Time // when each drop reason was last logged
}

// New makes an instance. The error is that of Config.Validate.
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
		direct:    make(chan struct{}, 1),
	}
	v.setConfig(cfg)
	return v, nil
}

// Run runs the state machine until ctx ends, and returns nil. A master then sends an
// advert of priority 0 and waits up to HandOver for another to take over; the owner is
// told of INIT before Run returns. See Suspend for the other way.
func (v *Instance) Run(ctx context.Context) error {
	v.timer, v.announce, v.refresh = time.NewTimer(time.Hour), time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	v.others = time.NewTimer(time.Hour)
	v.stopTimers()
	for state := stateFunc(v.initial); state != nil; {
		state = state(ctx)
	}
	v.stopTimers()
	v.adopt() // so that a late Reconfigure still learns that its transport is unused
	return nil
}

// SetFault tells the instance that it cannot take part, and why: its interface is down,
// or has no address. An empty reason tells it that it can again. It does not wait until
// the state has changed.
func (v *Instance) SetFault(reason string) {
	v.mu.Lock()
	same := v.snap.Fault == reason
	v.snap.Fault = reason
	v.mu.Unlock()
	if same {
		return
	}
	select {
	case v.wake <- struct{}{}:
	default: // the wake-up that is pending will read this reason
	}
}

// Suspend has a master that is stopped hand nothing over: it sends one more advert, so
// that its lease and the backups' timers run from that, and keeps its state. Another
// process on this machine goes on as master with Resume.
func (v *Instance) Suspend() { v.suspended.Store(true) }

// setMute notes why the instance's adverts cannot be sent; empty is that they can.
func (v *Instance) setMute(reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.snap.Mute = reason
}

func (v *Instance) faultReason() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snap.Fault
}

// enter changes the state, logs it, and tells the owner.
func (v *Instance) enter(to State, why string) {
	v.mu.Lock()
	from := v.snap.State
	v.snap.State, v.snap.Since = to, time.Now()
	switch {
	case to == Master:
		v.snap.Counters.BecameMaster++
	case from == Master:
		v.snap.Counters.ReleasedMaster++
		v.snap.Other = OtherMaster{}
	}
	v.mu.Unlock()
	v.log.Info("vrrp state changed", "from", from.String(), "to", to.String(), "why", why)
	v.owner.Enter(from, to)
}

// advertise sends one advert and sets the Adver_Timer. Both the timer and the lease run
// from the moment before the advert is sent.
func (v *Instance) advertise(priority uint8) {
	advert, at := v.advert, time.Now()
	advert.Priority = priority
	err := v.transport.Send(advert)
	v.arm(at, v.cfg.AdvertInterval)
	v.countSent(priority, err)
	switch {
	case err == nil:
		v.unsentSince = time.Time{}
	case v.unsentSince.IsZero():
		v.unsentSince = at
	}
	if err == nil && priority != PriorityRelease {
		v.owner.Sent(at)
	}
}

// countSent counts an advert. It logs that adverts cannot be sent when that begins,
// when the error changes and when it ends, not for each advert.
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

// arm sets the state's timer (Master_Down_Timer or Adver_Timer) to d after from.
func (v *Instance) arm(from time.Time, d time.Duration) {
	v.deadline = from.Add(d)
	v.timer.Reset(time.Until(v.deadline))
}

func (v *Instance) stopTimers() {
	v.timer.Stop()
	v.announce.Stop()
	v.refresh.Stop()
	v.others.Stop()
}
