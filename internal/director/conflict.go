package director

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"weir/internal/cluster"
	"weir/internal/director/ha"
)

// driftConflict is another machine on a link that has an address of this one's.
const driftConflict = "address_conflicts"

// conflictFor is how long a conflict is one after it was heard last.
const conflictFor = time.Minute

// conflictAfter is how long the master before may go on claiming a VIP.
const conflictAfter = 2 * time.Second

// conflicts are the claims of other machines to addresses that are of interest here: VIPs,
// and those that instances speak from. What anybody else claims is not kept.
type conflicts struct {
	mu     sync.Mutex // guards what follows
	ours   map[netip.Addr]bool
	claims map[netip.Addr]claim // one for each address

	// The loop's own: what is claimed at the moment, when each address was asked for last, and
	// any of them.
	open     map[netip.Addr]*conflict
	asked    map[netip.Addr]time.Time
	askedAny time.Time
	probed   map[netip.Addr]time.Time // when standbys that hear no master asked for their VIPs
}

// conflict is an address that this machine has and another one claims.
type conflict struct {
	mac              net.HardwareAddr
	since, announced time.Time
}

// announceEvery is the least time between two announcements of a VIP that another machine
// claims.
const announceEvery = 5 * time.Second

// claim is who claimed an address last.
type claim struct {
	device int
	mac    net.HardwareAddr
	at     time.Time
}

const (
	// askEvery is how often other machines are asked whether they have an address that this
	// one has: one that is silent about it is found within that time.
	askEvery = 30 * time.Second
	// askMost bounds how many addresses are asked for at once, and askRest is the time
	// between two such rounds.
	askMost = 256
	askRest = 5 * time.Second
)

// watch says which addresses are of interest.
func (c *conflicts) watch(addrs []netip.Addr) {
	ours := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		ours[a] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = ours
	if c.claims == nil {
		c.claims = map[netip.Addr]claim{}
	}
	for a := range c.claims {
		if !ours[a] {
			delete(c.claims, a)
		}
	}
}

// heard notes a claim. Any goroutine may call it.
func (c *conflicts) heard(device int, a netip.Addr, mac net.HardwareAddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ours[a] {
		c.claims[a] = claim{device, mac, time.Now()}
	}
}

// recent are the claims that count.
func (c *conflicts) recent() map[netip.Addr]claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make(map[netip.Addr]claim, len(c.claims))
	for a, claim := range c.claims {
		if time.Since(claim.at) > conflictFor {
			delete(c.claims, a)
			continue
		}
		list[a] = claim
	}
	return list
}

// watchConflicts follows which addresses this machine may have.
func (d *Director) watchConflicts() { d.conflicts.watch(d.instances.Claimed()) }

// listenForConflicts hears who claims addresses. Without it weir runs on.
func (d *Director) listenForConflicts(ctx context.Context, claims func(context.Context, func(int, netip.Addr, net.HardwareAddr)) error) error {
	if err := claims(ctx, d.conflicts.heard); err != nil {
		d.log.Warn("addresses that other machines have too are not noticed", "error", err)
	}
	return nil
}

// askForConflicts asks other machines for VIPs: those that this one is about to have, and
// those that it has had for a while. Those that it was given a moment ago its predecessor may
// still have.
func (d *Director) askForConflicts() {
	if d.machine.Ask == nil {
		return
	}
	d.probe()
	if time.Since(d.conflicts.askedAny) < askRest {
		return
	}
	now, due, left := time.Now(), map[string][]netip.Addr{}, askMost
	asked := map[netip.Addr]time.Time{}
	for addr, h := range d.instances.Held() {
		last := d.conflicts.asked[addr]
		if !h.Since.IsZero() && now.Sub(h.Since) >= conflictAfter && now.Sub(last) >= askEvery && left > 0 {
			left--
			last = now
			due[h.Device] = append(due[h.Device], addr)
		}
		asked[addr] = last
	}
	d.conflicts.asked, d.conflicts.askedAny = asked, now
	d.askOn(due)
}

// probe asks for the VIPs of standbys that hear no master, as RFC 5227 section 2.1 and RFC
// 4862 section 5.4 have it before an address is used: once each time, and where there is time
// for it, because a take-over waits for nothing. Who answers has a VIP that no master has.
func (d *Director) probe() {
	now, due, left := time.Now(), map[string][]netip.Addr{}, askMost
	probed := map[netip.Addr]time.Time{}
	for _, w := range d.instances.Silent() {
		for _, v := range w.VIPs {
			addr := v.Prefix.Addr()
			last := d.conflicts.probed[addr]
			if last.Before(w.Since) && left > 0 {
				left--
				last = now
				device := cmp.Or(v.Base, v.Device) // a standby's own device says nothing
				due[device] = append(due[device], addr)
			}
			probed[addr] = last
		}
	}
	for addr := range d.instances.Held() {
		if at, asked := d.conflicts.probed[addr]; asked && time.Since(at) < conflictFor {
			probed[addr] = at
		}
	}
	d.conflicts.probed = probed
	d.askOn(due)
}

// askOn asks for addresses on their devices.
func (d *Director) askOn(due map[string][]netip.Addr) {
	for device, addrs := range due {
		go func() {
			if err := d.machine.Ask(device, addrs); err != nil {
				d.log.Debug("ask whether other machines have VIPs", "device", device, "error", err)
			}
		}()
	}
}

// counts says whether a claim to an address that this machine has is that of another machine,
// and not the predecessor's: it was made when the VIP was here for a while, or it answers a
// question of the time before, since which no other director was heard.
func (d *Director) counts(addr netip.Addr, c claim, h ha.Holding) bool {
	if !c.at.Before(h.Since.Add(conflictAfter)) {
		return true
	}
	at, probed := d.conflicts.probed[addr]
	return probed && !c.at.Before(at) && c.at.After(h.Heard)
}

// noteConflicts enters the addresses that this machine has and another one claims. VIPs among
// them are announced again after a claim, and once more when nobody claims them any more.
func (d *Director) noteConflicts() {
	recent, was := d.conflicts.recent(), d.conflicts.open
	if len(recent) == 0 && len(was) == 0 {
		return
	}
	open, again := map[netip.Addr]*conflict{}, map[netip.Addr]bool{}
	for addr, h := range d.instances.Held() {
		c, claimed := recent[addr]
		if !claimed || !d.counts(addr, c, h) {
			continue
		}
		l, err := d.surroundings.picture.Link(h.Device)
		base, _ := d.surroundings.picture.Link(h.Base) // which hears of it as well
		here := l.Index == c.device || base.Index == c.device && h.Base != ""
		if err != nil || !here || d.surroundings.ownMAC(c.mac) {
			continue
		}
		d.drift.Note(driftConflict, fmt.Sprintf("%s on %s", addr, h.Device), fmt.Errorf("another machine has it, too: %s", c.mac))
		o := was[addr]
		if o == nil {
			o = &conflict{since: c.at}
		}
		o.mac, open[addr] = c.mac, o
		if c.at.After(o.announced) && time.Since(o.announced) >= announceEvery {
			o.announced, again[addr] = time.Now(), true
		}
	}
	for addr := range was {
		if open[addr] == nil {
			again[addr] = true
		}
	}
	d.conflicts.open = open
	d.instances.AnnounceAgain(again)
}

// conflictsOf are the VIPs of an instance that another machine claims.
func (d *Director) conflictsOf(in *cluster.Instance) (all []cluster.Conflict) {
	for _, vip := range in.VIPs {
		if c := d.conflicts.open[vip.Addr()]; c != nil {
			all = append(all, cluster.Conflict{VIP: vip.Addr(), MAC: c.mac.String(), Since: c.since})
		}
	}
	return all
}
