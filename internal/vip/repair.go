package vip

import (
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// The kinds of drift that the engine notes.
const (
	DriftMissing   = "vip_addresses"   // an address that is to be here is not
	DriftPreferred = "vip_lifetimes"   // one is deprecated, or not, as it is not to be
	DriftStray     = "stray_addresses" // one is here that is to be elsewhere
	DriftCompare   = "comparisons"     // a device whose addresses could not be listed
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

// repairOwner leaves out owners whose own goroutine is at work.
func (e *Engine) repairOwner(h *holding, sure func(Owner) bool) {
	e.work.Lock()
	defer e.work.Unlock()
	e.mu.Lock()
	w, place, turn, skip := h.Wanted, h.place, h.turn, h.gone || h.busy
	e.mu.Unlock()
	if skip || place == Undecided || place == Here && !sure(w.Owner) {
		return
	}
	for device, list := range byDevice(w.Addresses) {
		have, err := e.kernel.List(device)
		switch {
		case err != nil:
			e.drift.Note(DriftCompare, "addresses of "+device, err)
		case place == Here:
			e.repairMissing(h, turn, w.Rounds, list, have)
		default:
			e.repairStray(list, have)
		}
	}
}

// repairMissing adds addresses until Move says otherwise.
func (e *Engine) repairMissing(h *holding, turn uint64, rounds int, list []Address, have []netlnk.Address) {
	here := make(map[netip.Prefix]netlnk.Address, len(have))
	for _, a := range have {
		here[a.Prefix] = a
	}
	var added []Address
	for part := range slices.Chunk(list, batch) {
		if !e.inTurn(h, turn) {
			return
		}
		for _, a := range part {
			found, ok := here[a.Prefix]
			switch {
			case !ok:
				_, err := e.kernel.Add(a.Device, a.Prefix, a.Preferred)
				e.drift.Note(DriftMissing, a.String(), err)
				if err == nil {
					added = append(added, a)
				}
			case lifetimeLost(a, found):
				_, err := e.kernel.Add(a.Device, a.Prefix, a.Preferred)
				e.drift.Note(DriftPreferred, a.String(), err)
			}
		}
	}
	e.enqueue(h, added, max(rounds, 1), false)
}

func (e *Engine) inTurn(h *holding, turn uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return h.turn == turn
}

// lifetimeLost says whether an address is deprecated and is never to be, or is not and is
// to be at once.
func lifetimeLost(want Address, have netlnk.Address) bool {
	return want.Prefix.Addr().Is6() &&
		(want.Preferred == 0 && !have.Deprecated || want.Preferred == netlnk.PreferredForever && have.Deprecated)
}

// repairStray removes addresses with whatever length somebody gave them.
func (e *Engine) repairStray(list []Address, have []netlnk.Address) {
	stray := make(map[netip.Addr]bool, len(list))
	for _, a := range list {
		stray[a.Prefix.Addr()] = true
	}
	for _, a := range have {
		if stray[a.Prefix.Addr()] {
			_, err := e.kernel.Remove(a.Dev, a.Prefix)
			e.drift.Note(DriftStray, Address{Device: a.Dev, Prefix: a.Prefix}.String(), err)
		}
	}
}
