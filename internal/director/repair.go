package director

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/conf"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/vrrp"
)

// repairEvery is how often the machine's addresses are compared with what they are
// to be, even when nothing was heard of them.
const repairEvery = time.Second

// repairSoon is how soon they are where the kernel reports that one has changed: it
// gathers reports that come together.
const repairSoon = 10 * time.Millisecond

// The kinds of drift that the director finds; those of the data plane are its own.
const (
	driftVIP        = "vip_addresses"   // of a master, on its device
	driftStray      = "stray_addresses" // a VIP where the instance is no master
	driftLink       = "vrrp_interfaces" // whose sockets are of the one before
	driftRealServer = "real_server"     // what this machine needs as one
	driftCompare    = "comparisons"     // what could not be looked at
)

// Drift counts, by kind, what somebody changed of this machine's addresses and of
// its settings as a real server.
func (d *Director) Drift() map[string]drift.Count { return d.drift.Counts() }

// repair puts back what somebody changed of the addresses.
func (d *Director) repair() {
	for _, in := range d.instances {
		in.repairLink(d.drift)
		in.repairVIPs(d.drift)
	}
	astray, err := d.realserver.Repair()
	for _, what := range astray {
		d.drift.Note(driftRealServer, what, err)
	}
	if err != nil && len(astray) == 0 {
		d.drift.Note(driftCompare, "real server", err)
	}
	d.drift.Done()
}

// repairLink follows an interface that was made anew, once it has its address again.
func (in *instance) repairLink(ledger *drift.Ledger) {
	l, err := netlnk.LinkByName(in.id.Interface)
	if err != nil || l.Index == in.device {
		return
	}
	err = in.link.Reopen()
	ledger.Note(driftLink, l.Name, err)
	if err == nil {
		in.device = l.Index
		in.vrrp.SetFault(in.fault())
	}
}

// claim is what an instance's VIPs are to be on this machine. Enter alone changes
// it, together with the addresses.
type claim int

const (
	unclaimed  claim = iota // before the first state and after the last
	claimed                 // on their devices: the instance is master
	disclaimed              // nowhere: another may have them
)

func claimIn(s vrrp.State) claim {
	switch s {
	case vrrp.Master:
		return claimed
	case vrrp.Init:
		return unclaimed
	}
	return disclaimed
}

// repairVIPs adds VIPs of a master that are not there, and announces them; where the
// instance is no master it takes away those that are. A master whose lease has run
// out leaves them alone: another may have taken over, and it is about to hear so.
func (in *instance) repairVIPs(ledger *drift.Ledger) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.claim == unclaimed {
		return
	}
	if in.claim == claimed {
		if leased, err := in.plane.Leased(in.id); err != nil || !leased {
			return
		}
	}
	byDevice := map[string][]conf.VIP{}
	for _, vip := range in.cfg.Addresses() {
		byDevice[vip.Device] = append(byDevice[vip.Device], vip)
	}
	for device, vips := range byDevice {
		have, err := netlnk.Addresses(device)
		if err != nil {
			ledger.Note(driftCompare, "addresses of "+device, err)
			continue
		}
		for _, vip := range vips {
			in.repairVIP(vip, have, ledger)
		}
	}
}

func (in *instance) repairVIP(vip conf.VIP, have []netip.Prefix, ledger *drift.Ledger) {
	if in.claim == disclaimed {
		for _, p := range have {
			if p.Addr() == vip.Prefix.Addr() {
				_, err := netlnk.DelAddress(vip.Device, p)
				ledger.Note(driftStray, fmt.Sprintf("%s on %s", p, vip.Device), err)
			}
		}
		return
	}
	if slices.Contains(have, vip.Prefix) {
		return
	}
	_, err := netlnk.AddAddress(vip.Device, vip.Prefix)
	ledger.Note(driftVIP, fmt.Sprintf("%s on %s", vip.Prefix, vip.Device), err)
	if err == nil {
		in.announce([]conf.VIP{vip}, max(in.cfg.GARPRepeat, 1))
	}
}
