package vip

import (
	"net/netip"
	"slices"
)

// The kinds of drift that the engine notes.
const (
	DriftMissing = "vip_addresses"   // an address that is to be here is not
	DriftStray   = "stray_addresses" // one is here that is to be elsewhere
	DriftCompare = "comparisons"     // a device whose addresses could not be listed
)

// Repair adds addresses that are to be here and are not, and announces them; it removes
// those that are here and are to be elsewhere. Where sure is false of an owner whose
// addresses are to be here, they are left alone.
func (e *Engine) Repair(sure func(Owner) bool) {
	e.mu.Lock()
	owners := slices.Clone(e.owners)
	e.mu.Unlock()
	for _, h := range owners {
		e.repairOwner(h, sure)
	}
}

// repairOwner holds the lock for one owner only: another one may have to move.
func (e *Engine) repairOwner(h *holding, sure func(Owner) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(e.owners, h) || h.place == Undecided || h.place == Here && !sure(h.Owner) {
		return
	}
	byDevice := map[string][]Address{}
	for _, a := range h.Addresses {
		byDevice[a.Device] = append(byDevice[a.Device], a)
	}
	for device, list := range byDevice {
		have, err := e.kernel.List(device)
		if err != nil {
			e.drift.Note(DriftCompare, "addresses of "+device, err)
			continue
		}
		for _, a := range list {
			if h.place == Here {
				e.repairMissing(h, a, have)
			} else {
				e.repairStray(a, have)
			}
		}
	}
}

func (e *Engine) repairMissing(h *holding, a Address, have []netip.Prefix) {
	if slices.Contains(have, a.Prefix) {
		return
	}
	_, err := e.kernel.Add(a.Device, a.Prefix)
	e.drift.Note(DriftMissing, a.String(), err)
	if err == nil {
		e.announce(Wanted{h.Owner, h.Label, []Address{a}, h.Rounds})
	}
}

// repairStray removes the address with whatever length somebody gave it.
func (e *Engine) repairStray(a Address, have []netip.Prefix) {
	for _, p := range have {
		if p.Addr() == a.Prefix.Addr() {
			_, err := e.kernel.Remove(a.Device, p)
			e.drift.Note(DriftStray, Address{a.Device, p}.String(), err)
		}
	}
}
