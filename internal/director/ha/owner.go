package ha

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"weir/internal/cluster"
	"weir/internal/netlnk"
	"weir/internal/vip"
	"weir/lvs"
	"weir/vrrp"
)

// owner does what a state machine decides: it is the vrrp.Owner of an instance. All of
// it but retired belongs to the state machine's goroutine.
type owner struct {
	id      lvs.InstanceID
	with    *Machine
	machine *vrrp.Instance
	terms   terms
	heard   map[netip.Addr]knownDirector
	met     time.Time                   // when a new director was heard last
	member  atomic.Pointer[groupMember] // of its sync group; nil is none
	health  leaseHealth
	// retired says that no configuration has the instance any more: it has no lease.
	retired atomic.Bool
}

// terms are what the owner has to know of a configuration.
type terms struct {
	name  string
	lease time.Duration
	link  Transport
	// lowerRounds and refreshRounds are how often addresses are announced after an
	// advertisement of a lower master, and by a refresh.
	lowerRounds, refreshRounds int
}

func newOwner(id lvs.InstanceID, with *Machine, t terms) *owner {
	return &owner{id: id, with: with, terms: t, heard: map[netip.Addr]knownDirector{}}
}

// run is the instance's task. It ends when the VIPs are removed.
func (o *owner) run(ctx context.Context) error {
	defer func() { o.terms.link.Close() }()
	defer o.with.VIPs.Wait(ownerOf(o.id))
	// The state machine has to know how it is stopped before it is.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if o.with.suspended.Load() && !o.retired.Load() {
			o.machine.Suspend()
		}
		cancel()
	})()
	return o.machine.Run(running)
}

// placeIn is where the VIPs of an instance in this state are to be.
func placeIn(s vrrp.State) vip.Place {
	switch s {
	case vrrp.Master:
		return vip.Here
	case vrrp.Init:
		return vip.Undecided
	}
	return vip.Elsewhere
}

// Enter adds the VIPs on becoming master; on ceasing to be, it ends the lease first.
func (o *owner) Enter(from, to vrrp.State) {
	if from == vrrp.Master && to != vrrp.Master && !o.retired.Load() {
		if err := o.with.Leases.Release(o.id); err != nil {
			o.with.Tell(cluster.LeaseReleaseFailed(o.terms.name, err))
		}
	}
	o.with.VIPs.Move(ownerOf(o.id), placeIn(to))
	if m := o.member.Load(); m != nil {
		m.entered(to)
	}
	if from == vrrp.Backup && to == vrrp.Master && o.with.Lost != nil {
		o.tellLost()
	}
}

// MayTakeOver asks its sync group.
func (o *owner) MayTakeOver() bool {
	m := o.member.Load()
	return m == nil || m.mayTakeOver()
}

// GivesWay tells its sync group.
func (o *owner) GivesWay() {
	if m := o.member.Load(); m != nil {
		m.givesWay()
	}
}

// tellLost tells of the master before, unless it has said that it leaves or is heard still:
// then this director has the higher priority.
func (o *owner) tellLost() {
	peer := o.machine.Snapshot().Peer
	if peer.Addr.IsValid() && peer.Priority != vrrp.PriorityRelease && time.Since(peer.Heard) >= o.terms.lease {
		o.with.Lost(o.terms.name, peer.Addr)
	}
}

// mostTold bounds how many VIPs of an instance that could not be added are told one by one.
const mostTold = 10

// MoveFailed tells of addresses that could not be added or removed when an instance changed
// its state: it is vip.Reports.Failed.
func MoveFailed(tell func(cluster.Event), failed []vip.Failure) {
	failed = slices.DeleteFunc(slices.Clone(failed), func(f vip.Failure) bool {
		switch {
		case f.Entry == netlnk.Entry{}:
			return false
		case f.Removing:
			tell(cluster.VIPsRemoveFailed(f.Label, f.Err))
		default:
			tell(cluster.VIPsAddFailed(f.Label, f.Err))
		}
		return true
	})
	if len(failed) == 0 {
		return
	}
	switch first := failed[0]; {
	case first.Removing:
		tell(cluster.VIPsRemoveFailed(first.Label, vip.Join(failed)))
	default:
		for _, f := range failed[:min(len(failed), mostTold)] {
			tell(cluster.VIPAddFailed(f.Label, f.Address.Prefix, f.Address.Device, f.Err))
		}
		if more := len(failed) - mostTold; more > 0 {
			tell(cluster.VIPsAddFailed(first.Label, fmt.Errorf("%d more could not be added", more)))
		}
	}
}

// Announce has the rounds of gratuitous ARP, and of neighbour advertisements, sent.
func (o *owner) Announce() { o.with.VIPs.Announce(ownerOf(o.id)) }

// AnnounceFor has as many rounds sent as the reason asks for.
func (o *owner) AnnounceFor(why vrrp.Announcement) {
	switch why {
	case vrrp.LowerHeard:
		if o.terms.lowerRounds > 0 {
			o.with.VIPs.AnnounceRounds(ownerOf(o.id), o.terms.lowerRounds)
		}
	case vrrp.Refreshed:
		o.with.VIPs.AnnounceRounds(ownerOf(o.id), max(o.terms.refreshRounds, 1))
	default:
		o.with.VIPs.Announce(ownerOf(o.id))
	}
}

// Sent renews the lease: send first, then renew.
func (o *owner) Sent(at time.Time) {
	if o.retired.Load() {
		return
	}
	err := o.with.Leases.Renew(o.id, at, o.terms.lease)
	o.health.note(at, o.terms.lease, err)
	if err != nil {
		o.with.Tell(cluster.LeaseRenewFailed(o.terms.name, err))
	}
}

// knownDirector is another director as its instance's owner knows it.
type knownDirector struct {
	mac  net.HardwareAddr
	told time.Time // when the loop was told of it last
}

const (
	// knowFor is how long a director that is heard no more is known: as long as packets
	// may come that it forwarded before.
	knowFor = time.Minute
	// mostDirectors bounds how many an instance knows: an advertisement is easily forged.
	mostDirectors = 16
	// meetEvery is the least time between two new ones of an instance.
	meetEvery = time.Second
)

// Heard learns another director's Ethernet address, and that it is still there. Where the
// loop has no room for it, the next advertisement tells it again. One of lower priority
// than a master is to fall silent at once: it is known no longer than a lease.
func (o *owner) Heard(from netip.Addr, mac net.HardwareAddr) {
	now, lasts := time.Now(), knowFor
	if s := o.machine.Snapshot(); s.State == vrrp.Master && s.Peer.Priority < s.Priority {
		lasts = min(lasts, o.terms.lease)
	}
	known, met := o.heard[from]
	same := met && bytes.Equal(known.mac, mac)
	switch {
	case same && now.Sub(known.told) < lasts/3:
		return
	case !same && now.Sub(o.met) < meetEvery && len(o.heard) > 0:
		return
	}
	if !o.with.Learn(Heard{Peer{o.id, from}, o.terms.name, mac, lasts}) {
		return
	}
	if !same {
		o.met = now
	}
	o.heard[from] = knownDirector{mac, now}
	for len(o.heard) > mostDirectors {
		oldest := from
		for addr, k := range o.heard {
			if k.told.Before(o.heard[oldest].told) {
				oldest = addr
			}
		}
		delete(o.heard, oldest)
	}
}
