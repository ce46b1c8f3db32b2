package vip

import (
	"errors"
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

// repairOwner leaves out owners whose own goroutine is at work, and does not wait for it.
func (e *Engine) repairOwner(h *holding, sure func(Owner) bool) {
	if _, _, _, idle := e.settledAt(h); !idle {
		return
	}
	e.work.Lock()
	defer e.work.Unlock()
	w, place, turn, idle := e.settledAt(h)
	if !idle || place == Undecided || place == Here && !sure(w.Owner) {
		return
	}
	var missing []Failure
	for device, list := range byDevice(w.Addresses) {
		have, err := e.kernel.List(device)
		switch {
		case errors.Is(err, netlnk.ErrNoDevice):
			// The owner is told of that, and moves its addresses.
			if place == Here {
				missing = append(missing, failures(w.Label, list, err)...)
			}
		case errors.Is(err, netlnk.ErrInterrupted):
			// Somebody is changing many addresses. The next look finds what is left of that.
		case err != nil:
			e.drift.Note(DriftCompare, "addresses of "+device, err)
		case place == Here:
			missing = append(missing, e.repairMissing(h, turn, list, have)...)
		default:
			e.repairStray(list, have)
		}
	}
	if place == Here {
		missing = append(missing, e.repairEntries(w.Label, w.Entries)...)
	}
	e.mu.Lock()
	h.missing = missing
	e.mu.Unlock()
}

// failures are all of these addresses, for one reason.
func failures(label string, list []Address, err error) (failed []Failure) {
	for _, a := range list {
		failed = append(failed, Failure{Label: label, Address: a, Err: err})
	}
	return failed
}

// Missing lists what of an owner's addresses, routes and rules is to be here, and could not be
// put back by the last Repair. More than 64 addresses that go at once are not listed.
func (e *Engine) Missing(o Owner) []Failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.owner(o); h != nil && h.place == Here {
		return h.missing
	}
	return nil
}

// settledAt is where an owner is; idle is false where its goroutine is at work, or Set has
// forgotten it.
func (e *Engine) settledAt(h *holding) (w Wanted, place Place, turn uint64, idle bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return h.Wanted, h.place, h.turn, !h.gone && !h.busy
}

// repairMissing adds what is missing. Where that is more than a batch, the owner's goroutine
// does so, and nobody waits for it: IPv6 addresses that are added again soon after they were
// removed take the kernel more than a millisecond each.
func (e *Engine) repairMissing(h *holding, turn uint64, list []Address, have []netlnk.Address) (missing []Failure) {
	here := make(map[netip.Prefix]netlnk.Address, len(have))
	for _, a := range have {
		here[a.Prefix] = a
	}
	var lost []Address
	for _, a := range list {
		if found, ok := here[a.Prefix]; !ok || lifetimeLost(a, found) {
			lost = append(lost, a)
		}
	}
	if len(lost) <= batch {
		return e.mend(h, turn, lost)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if h.turn == turn {
		h.lost = append(h.lost, lost...)
		e.begins(h, mending)
	}
	return nil
}

// mendAll mends what was lost, batch by batch, until Move says otherwise.
func (e *Engine) mendAll(h *holding, turn uint64, lost []Address) {
	_, _, version := e.begin(h)
	for part := range slices.Chunk(lost, batch) {
		e.work.Lock()
		part, same := e.still(h, turn, version, part, false)
		if same {
			e.mend(h, turn, part)
		}
		e.work.Unlock()
		if !same {
			return
		}
	}
}

// mend adds addresses that are missing, or sets their lifetimes, and has what it added
// announced. It is called with work.
func (e *Engine) mend(h *holding, turn uint64, lost []Address) (missing []Failure) {
	e.mu.Lock()
	same, label, rounds := h.turn == turn, h.Label, max(h.Rounds, 1)
	e.mu.Unlock()
	if !same {
		return nil
	}
	var added []Address
	for _, a := range lost {
		changed, err := e.kernel.Add(a.Device, a.Prefix, a.Preferred, a.Options)
		switch {
		case changed:
			added = append(added, a)
			e.drift.Note(DriftMissing, a.String(), nil)
		case err != nil:
			e.drift.Note(DriftMissing, a.String(), err)
			missing = append(missing, Failure{Label: label, Address: a, Err: err})
		default: // it was there, with another lifetime
			e.drift.Note(DriftPreferred, a.String(), nil)
		}
	}
	e.enqueue(h, added, rounds, false)
	return missing
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
