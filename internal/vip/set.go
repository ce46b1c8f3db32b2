package vip

import (
	"errors"
	"fmt"

	"weir/internal/netlnk"
)

// more is what Set adds to an owner that is here.
type more struct {
	holding   *holding
	label     string
	addresses []Address
}

// Set says which addresses each owner has from now on. What is new is added and
// announced for owners whose addresses are here; what nobody has any more is removed
// from them. An owner that is not listed is forgotten: to Move it does nothing. With an
// error, which is of an address that could not be added, everything is as it was.
// Failed are addresses that could not be removed, or could not stay.
func (e *Engine) Set(all []Wanted) (failed []Failure, err error) {
	e.work.Lock()
	defer e.work.Unlock()
	fresh, old := e.compare(all)
	entries := e.compareEntries(all)
	failed = append(failed, e.removeChanged(fresh)...)
	if err := e.addAll(fresh); err != nil {
		return nil, err
	}
	for _, c := range entries {
		failed = append(failed, e.takeEntries(c.label, c.old)...)
	}
	for _, m := range old {
		failed = append(failed, e.remove(m.label, m.addresses)...)
	}
	e.commit(all)
	// Once more: with a device's primary address the kernel removes the secondary ones
	// of its network (inet_del_ifa in net/ipv4/devinet.c).
	for _, m := range fresh {
		failed = append(failed, e.add(m.label, m.addresses)...)
		e.enqueue(m.holding, m.addresses, max(m.holding.Rounds, 1), false)
	}
	for _, c := range entries {
		failed = append(failed, e.putEntries(c.label, c.put)...)
	}
	return failed, nil
}

// removeChanged removes addresses that are here with other options, which the kernel does not
// change.
func (e *Engine) removeChanged(fresh []more) (failed []Failure) {
	for _, m := range fresh {
		e.mu.Lock()
		had := map[Address]netlnk.AddressOptions{}
		for _, a := range m.holding.Addresses {
			had[a.place()] = a.Options
		}
		e.mu.Unlock()
		for _, a := range m.addresses {
			if options, here := had[a.place()]; here && options != a.Options {
				failed = append(failed, e.remove(m.label, []Address{a})...)
			}
		}
	}
	return failed
}

// compare works out what is new of owners that are here, and what of them is of no owner
// that will be here.
func (e *Engine) compare(all []Wanted) (fresh, old []more) {
	e.mu.Lock()
	defer e.mu.Unlock()
	stay := map[Address]bool{}
	for _, w := range all {
		h := e.owner(w.Owner)
		if h == nil || h.place != Here {
			continue
		}
		for _, a := range w.Addresses {
			stay[a.place()] = true
		}
		had := map[Address]bool{}
		for _, a := range h.Addresses {
			had[a] = true
		}
		if list := without(w.Addresses, had); len(list) > 0 {
			fresh = append(fresh, more{h, w.Label, list})
		}
	}
	for _, h := range e.owners {
		// One that is busy may have addresses that it is about to remove.
		if h.place != Here && !h.busy {
			continue
		}
		var list []Address
		for _, a := range h.Addresses {
			if !stay[a.place()] {
				list = append(list, a)
			}
		}
		old = append(old, more{h, h.Label, list})
	}
	return fresh, old
}

// without lists the addresses that others does not have.
func without(list []Address, others map[Address]bool) (rest []Address) {
	for _, a := range list {
		if !others[a] {
			rest = append(rest, a)
		}
	}
	return rest
}

// addAll adds them all, or, with an error, none.
func (e *Engine) addAll(fresh []more) error {
	var added []Address
	for _, m := range fresh {
		for _, a := range m.addresses {
			changed, err := e.kernel.Add(a.Device, a.Prefix, a.Preferred, a.Options)
			if err != nil {
				return errors.Join(fmt.Errorf("add VIP: %w", err), Join(e.remove(m.label, added)))
			}
			if changed {
				added = append(added, a)
			}
		}
	}
	return nil
}

// commit makes these the owners. Those that stay keep their places.
func (e *Engine) commit(all []Wanted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := make([]*holding, 0, len(all))
	for _, w := range all {
		h := e.owner(w.Owner)
		if h == nil {
			h = &holding{}
		}
		was := h.Extra
		h.Wanted, h.missing = w, nil
		h.version++
		if was.Every != w.Extra.Every || (len(was.Addresses) == 0) != (len(w.Extra.Addresses) == 0) {
			e.tellExtraAfter(h, w.Extra.Every)
		}
		next = append(next, h)
	}
	for _, h := range e.owners {
		h.gone = true
	}
	for _, h := range next {
		h.gone = false
	}
	for _, h := range e.owners {
		if h.gone {
			e.tellExtraAfter(h, 0)
		}
	}
	e.owners = next
}
