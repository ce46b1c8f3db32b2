// Package ha is the director's side of VRRP: its instances, their leases in the data
// plane, the other directors that they hear, and how a mastership passes from one
// process to the next.
//
// Two goroutines touch an instance. The director's loop owns Instances and all that is
// reached from it: configuration, transports, faults. The state machine's goroutine owns
// the owner, which does what RFC 3768 wants done at once, in this order: an
// advertisement is sent, the lease renewed, the VIPs are added, and announced; a master
// that leaves has sent its last advertisement, ends the lease, and removes the VIPs.
// It never waits for the loop, which may be busy with thousands of services: leases
// have a lock of their own, and so has the vip.Engine, which the loop tells which
// addresses there are and the owner where they are to be. What else the owner has to
// tell the loop (another director) it posts, and drops it where there is no room: the
// next advertisement tells it again. The loop does not wait for a state machine either;
// another configuration reaches the owner with vrrp.Instance.Reconfigure.
package ha

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/internal/track"
	"weir/internal/vip"
	"weir/lvs"
	"weir/vrrp"
	"weir/vrrp/pace"
)

// Leases let the services of an instance forward. Any goroutine may call them, and no
// call waits for a change of the services. An error says that there is no such lease.
type Leases interface {
	// Renew lets the services forward for d after an advertisement was sent.
	Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error
	// Hold is the lease for a thread that renews it by itself, until Release; nil where
	// there is none that a thread could renew.
	Hold(id lvs.InstanceID) (*pace.Lease, error)
	// Release ends that at once.
	Release(id lvs.InstanceID) error
	// Leased says whether they forward: after a crash, by the lease of the process
	// before.
	Leased(id lvs.InstanceID) (bool, error)
}

// Transport carries an instance's advertisements; *vrrp.Link is the one over sockets.
type Transport interface {
	vrrp.Transport
	Reopener
	io.Closer // harmless when it is closed
}

// Reopener follows an interface that was made anew.
type Reopener interface {
	// Lost says that the interface on which the sockets were opened is gone: they carry
	// nothing any more, also where another one has its name or its number.
	Lost() bool
	// Reopen opens the sockets anew. With an error they are as they were.
	Reopen() error
}

// Machine is what instances reach this machine by.
type Machine struct {
	Leases Leases
	// Open opens the transport of an instance.
	Open func(LinkConfig) (Transport, error)
	VIPs *vip.Engine
	Log  *slog.Logger
	// Tell publishes an event. Learn takes in another director; it returns false,
	// without waiting, where there is no room. The state machines' goroutines call both.
	Tell  func(cluster.Event)
	Learn func(Heard) bool
	// StartDelay is how long instances that Run begins neither listen nor take over.
	StartDelay time.Duration
	// Lost, unless it is nil, is told of a master that has fallen silent when its instance
	// is taken over. The state machine's goroutine calls it; it does not wait.
	Lost func(instance string, peer netip.Addr)

	// Unknown, unless it is nil, is told of adverts with another VRID than that of their
	// interface's instance. The state machine's goroutine calls it; it does not wait.
	Unknown func(id lvs.InstanceID, vrid uint8, from netip.Addr)

	suspended *atomic.Bool // see Instances.Suspend
}

// LinkConfig says where the advertisements of an instance run.
type LinkConfig = vrrp.LinkConfig

// Start runs a task beside the others, until it is stopped.
type Start func(task func(context.Context) error) (stop context.CancelFunc)

// Heard is another director: from where an instance hears it, and its Ethernet address.
type Heard struct {
	Peer
	Name string // of the instance
	MAC  net.HardwareAddr
	// For is how long it is known unless it is heard again.
	For time.Duration
}

// peerDirector is another director, and until when it is known.
type peerDirector struct {
	mac   net.HardwareAddr
	until time.Time
}

// Peer is where another director's advertisements come from.
type Peer struct {
	Instance lvs.InstanceID
	Addr     netip.Addr
}

// Instances are the VRRP instances of a director. The loop's goroutine alone uses them.
type Instances struct {
	machine   Machine
	start     Start // nil before Run
	list      []*instance
	opened    []*instance // that a reload under way adds
	directors map[Peer]peerDirector
	static    vip.Wanted    // of no instance
	missing   []vip.Failure // of static, and could not be put back
	tracking  Tracking
	verdicts  map[track.Key]track.Verdict // what the trackers say
	quorums   map[netip.Addr]Quorum       // of virtual servers that have lost theirs
}

// New makes instances of which there are none yet.
func New(m Machine) *Instances {
	m.suspended = new(atomic.Bool)
	return &Instances{machine: m, directors: map[Peer]peerDirector{}}
}

// Open opens the transports of all instances, with the bindings that each has on this
// machine. Nothing is sent yet. A device that does not exist is an error; what else keeps
// an instance from taking part is a fault, until Follow finds it gone.
func (s *Instances) Open(cfgs []conf.VRRPInstance, bindings []Binding) error {
	for i, c := range cfgs {
		err := bindings[i].Missing
		if err == nil {
			var in *instance
			if in, err = s.open(c, bindings[i]); err == nil {
				s.list = append(s.list, in)
				continue
			}
		}
		s.Close()
		return fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
	}
	return s.SetVIPs(cfgs) // nobody has any yet: nothing is added
}

// Close closes all transports.
func (s *Instances) Close() {
	for _, in := range s.list {
		in.link.Close()
	}
}

// Run has every instance take up what a process before has left, and begin.
func (s *Instances) Run(start Start) error {
	s.start = start
	if err := s.ClearLeft(); err != nil {
		return err
	}
	for _, in := range s.list {
		in.delay = s.machine.StartDelay
		if err := in.takeUp(); err != nil {
			return err
		}
	}
	s.regroup()
	s.settle()
	for _, in := range s.list {
		in.stop = s.start(in.owner.run)
	}
	return nil
}

// ClearLeft removes VIPs of weir's that no instance has: those of a process before, and those
// on a device that has got another name.
func (s *Instances) ClearLeft() error {
	left, err := s.machine.VIPs.ClearLeft()
	for _, a := range left {
		s.machine.Tell(cluster.OldVIPRemoved(a.Prefix, a.Device))
	}
	return err
}

// Suspend says whether masters that are stopped from now on leave everything as it is, for
// the next process or for Keep, instead of handing over. Any goroutine may call it.
func (s *Instances) Suspend(yes bool) { s.machine.suspended.Store(yes) }

// Len is how many there are.
func (s *Instances) Len() int { return len(s.list) }

// Learn takes in another director, and returns what there is to tell of it: nil where it was
// known.
func (s *Instances) Learn(h Heard) *cluster.Event {
	known, ok := s.directors[h.Peer]
	s.directors[h.Peer] = peerDirector{h.MAC, time.Now().Add(h.For)}
	s.evict(h.Instance)
	if ok && bytes.Equal(known.mac, h.MAC) {
		return nil
	}
	e := cluster.DirectorHeard(h.Name, h.Addr, h.MAC)
	return &e
}

// evict forgets the one of an instance that is known for the shortest time, where there are
// too many.
func (s *Instances) evict(of lvs.InstanceID) {
	var first Peer
	n := 0
	for p, d := range s.directors {
		if p.Instance != of {
			continue
		}
		if n++; n == 1 || d.until.Before(s.directors[first].until) {
			first = p
		}
	}
	if n > mostDirectors {
		delete(s.directors, first)
	}
}

// ForgetDirectors forgets directors that were not heard again in time, and says whether
// there were any.
func (s *Instances) ForgetDirectors() (some bool) {
	now := time.Now()
	for p, d := range s.directors {
		if now.After(d.until) {
			delete(s.directors, p)
			some = true
		}
	}
	return some
}

// Holding is where this machine has an address, and since when.
type Holding struct {
	Device string
	Base   string    // below the device, where it is one of the instance's own
	Since  time.Time // zero where it was there before
	// Heard is when another director of its virtual router was heard last.
	Heard time.Time
}

// Held lists the addresses that this machine has for instances: those that they speak from,
// and the VIPs of masters.
func (s *Instances) Held() map[netip.Addr]Holding {
	held := map[netip.Addr]Holding{}
	for _, in := range s.list {
		if in.cfg.SourceIP.IsValid() {
			held[in.cfg.SourceIP] = Holding{Device: in.cfg.Interface}
			if in.cfg.IPVLAN.On {
				held[in.cfg.SourceIP] = Holding{Device: in.cfg.IPVLAN.Name, Base: in.cfg.Interface}
			}
		}
		if in.machine == nil {
			continue
		}
		snap := in.machine.Snapshot()
		if snap.State != vrrp.Master {
			continue
		}
		for _, a := range in.cfg.Addresses() {
			held[a.Prefix.Addr()] = Holding{Device: a.Device, Base: a.Base, Since: snap.Since, Heard: snap.Peer.Heard}
		}
	}
	return held
}

// Waiting are the VIPs of a standby that hears no master, and takes over unless it does.
type Waiting struct {
	VIPs  []conf.VIP
	Since time.Time // when it last heard of a master, or began to listen
}

// Silent lists the standbys that have heard no master for so long that one on the link would
// have been heard: one and a half of its advertisements' intervals. One that has said that it
// leaves is about to remove its VIPs, and does not count.
func (s *Instances) Silent() (all []Waiting) {
	for _, in := range s.list {
		if in.machine == nil {
			continue
		}
		snap := in.machine.Snapshot()
		if snap.State != vrrp.Backup || snap.Peer.Addr.IsValid() && snap.Peer.Priority == vrrp.PriorityRelease {
			continue
		}
		since := snap.Since
		if snap.Peer.Heard.After(since) {
			since = snap.Peer.Heard
		}
		if time.Since(since) >= max(snap.Config.AdvertInterval, snap.Peer.Interval)*3/2 {
			all = append(all, Waiting{in.cfg.Addresses(), since})
		}
	}
	return all
}

// Claimed lists the addresses that Held and Silent may list.
func (s *Instances) Claimed() (list []netip.Addr) {
	for _, in := range s.list {
		if in.cfg.SourceIP.IsValid() {
			list = append(list, in.cfg.SourceIP)
		}
		list = append(list, Addrs(in.cfg.Addresses())...)
	}
	return list
}

// Directors are the directors that are known, in the order of their addresses: the data plane
// looks at the kernel's routes when they change.
func (s *Instances) Directors() (all []lvs.Director) {
	for peer, known := range s.directors {
		addr := peer.Addr
		if addr.IsLinkLocalUnicast() && addr.Is6() {
			addr = addr.WithZone(peer.Instance.Interface)
		}
		all = append(all, lvs.Director{MAC: known.mac, Addr: addr})
	}
	slices.SortFunc(all, func(a, b lvs.Director) int { return cmp.Or(a.Addr.Compare(b.Addr), bytes.Compare(a.MAC, b.MAC)) })
	return all
}

// Follow has the instances speak by what the machine has now: bindings are those of Bindings
// for the configurations in force. One that cannot take part is in fault until it can.
func (s *Instances) Follow(bindings []Binding, ledger *drift.Ledger) {
	for _, b := range bindings {
		if in := s.find(b.id); in != nil { // their order is that of the file
			in.follow(b, ledger)
		}
	}
	s.settle()
}

// Unopened says whether an instance is in fault for something that the kernel does not
// report, so that it has to be tried again: its sockets could not be opened.
func (s *Instances) Unopened() bool {
	return slices.ContainsFunc(s.list, func(in *instance) bool { return in.unopened })
}

// DriftInterface is the drift of an interface that was made anew: the sockets were of
// the one before.
const DriftInterface = "vrrp_interfaces"

// Repair puts VIPs right. Those of a master whose lease has run out are left alone: another
// director may have taken over, and this one is about to hear so.
func (s *Instances) Repair() {
	ids := map[vip.Owner]lvs.InstanceID{}
	for _, in := range s.list {
		ids[ownerOf(in.id)] = in.id
	}
	s.machine.VIPs.Repair(func(o vip.Owner) bool {
		if o == Static {
			return true
		}
		leased, err := s.machine.Leases.Leased(ids[o])
		return err == nil && leased
	})
	s.lookForMissing()
}

// find is the instance with this identity; nil where there is none.
func (s *Instances) find(id lvs.InstanceID) *instance {
	i := slices.IndexFunc(s.list, func(in *instance) bool { return in.id == id })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

// ID names an instance of the configuration.
func ID(c conf.VRRPInstance) lvs.InstanceID {
	return lvs.InstanceID{Interface: c.Interface, VRID: c.VRID, IPv6: c.IPv6()}
}

// ownerOf is an instance as the owner of its VIPs.
func ownerOf(id lvs.InstanceID) vip.Owner { return vip.Owner(id.String()) }

// Wanted are the addresses of instances.
func Wanted(cfgs []conf.VRRPInstance) (all []vip.Wanted) {
	for _, c := range cfgs {
		all = append(all, wantedOf(c))
	}
	return all
}

// Addrs are addresses without their masks.
func Addrs(vips []conf.VIP) (list []netip.Addr) {
	for _, vip := range vips {
		list = append(list, vip.Prefix.Addr())
	}
	return list
}

// Plan is what the data plane is to know of instances.
func Plan(cfgs []conf.VRRPInstance) (all []lvs.Instance) {
	for _, c := range cfgs {
		all = append(all, lvs.Instance{ID: ID(c), VIPs: Addrs(c.Addresses()), VirtualMACs: virtualMACs(c), NoAccept: !c.Accept && c.Priority < vrrp.PriorityOwner})
	}
	return all
}
