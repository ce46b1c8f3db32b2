package director

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
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
}

// claim is who claimed an address last.
type claim struct {
	device int
	mac    net.HardwareAddr
	at     time.Time
}

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

// noteConflicts enters the addresses that this machine has and another one claims.
func (d *Director) noteConflicts() {
	recent := d.conflicts.recent()
	if len(recent) == 0 {
		return
	}
	for addr, h := range d.instances.Held() {
		c, claimed := recent[addr]
		if !claimed || c.at.Before(h.Since.Add(conflictAfter)) {
			continue
		}
		l, err := d.surroundings.picture.Link(h.Device)
		if err == nil && l.Index == c.device && !bytes.Equal(l.MAC, c.mac) {
			d.drift.Note(driftConflict, fmt.Sprintf("%s on %s", addr, h.Device), fmt.Errorf("another machine has it, too: %s", c.mac))
		}
	}
}
