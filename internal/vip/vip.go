// Package vip keeps virtual addresses on devices: it adds and removes them, tells the
// neighbours, and repairs what somebody else changed. It is told whole wanted values
// and works out the difference itself.
//
// Each address belongs to an owner. Set says which addresses each owner has; Move says
// where an owner's addresses are to be. The two come from different goroutines, which
// do not wait for each other: the engine's lock is held for the kernel's answers about
// one owner's addresses at most, and by Set for those of all that change.
package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"weir/internal/drift"
)

// Addresses is the kernel's table of addresses. Changed is false where nothing was to
// be done: the address is there, or is gone, already.
type Addresses interface {
	List(device string) ([]netip.Prefix, error)
	Add(device string, p netip.Prefix) (changed bool, err error)
	Remove(device string, p netip.Prefix) (changed bool, err error)
}

// Announcer tells the hosts on a device's link, once, that an address is here: by
// gratuitous ARP, or an unsolicited neighbour advertisement.
type Announcer interface {
	Announce(device string, addr netip.Addr) error
}

// Address is an address wanted on a device.
type Address struct {
	Device string
	Prefix netip.Prefix
}

func (a Address) String() string { return fmt.Sprintf("%s on %s", a.Prefix, a.Device) }

// Owner names who has addresses.
type Owner string

// Wanted is what one owner has.
type Wanted struct {
	Owner Owner
	// Label is the owner as people know it, for reports.
	Label     string
	Addresses []Address
	// Rounds is how often each address is announced at once; 0 is once.
	Rounds int
}

// Place is where an owner's addresses are to be.
type Place uint8

const (
	Undecided Place = iota // left as they are: nobody has said where yet, or any more
	Here                   // on their devices
	Elsewhere              // on no device of this machine: another machine may have them
)

// Failure is an address that could not be added, or removed, and why.
type Failure struct {
	Label    string // the owner's
	Address  Address
	Removing bool
	Err      error
}

// Engine keeps the addresses of all owners.
type Engine struct {
	kernel    Addresses
	announcer Announcer
	drift     *drift.Ledger
	// unheard is told of announcements that could not be sent.
	unheard func(label string, addr netip.Addr, err error)

	mu     sync.Mutex // guards what follows, and the owners' addresses on their devices
	owners []*holding
}

// holding is an owner's addresses, and where they are to be.
type holding struct {
	Wanted
	place Place
}

// New makes an engine without owners. Drift of addresses is noted in the ledger;
// unheard is called for each announcement that could not be sent.
func New(kernel Addresses, announcer Announcer, ledger *drift.Ledger, unheard func(label string, addr netip.Addr, err error)) *Engine {
	return &Engine{kernel: kernel, announcer: announcer, drift: ledger, unheard: unheard}
}

func (e *Engine) owner(o Owner) *holding {
	i := slices.IndexFunc(e.owners, func(h *holding) bool { return h.Owner == o })
	if i < 0 {
		return nil
	}
	return e.owners[i]
}

// Set says which addresses each owner has from now on. What is new is added and
// announced for owners whose addresses are here; what nobody has any more is removed
// from them. An owner that is not listed is forgotten: to Move it does nothing. With an
// error, which is of an address that could not be added, everything is as it was.
// Failed are addresses that could not be removed, or could not stay.
func (e *Engine) Set(all []Wanted) (failed []Failure, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next, fresh := e.next(all)
	if err := e.addAll(fresh); err != nil {
		return nil, err
	}
	failed = e.removeOld(next)
	e.owners = next
	// Once more: with a device's primary address the kernel removes the secondary ones
	// of its network (inet_del_ifa in net/ipv4/devinet.c).
	for _, w := range fresh {
		failed = append(failed, e.add(w)...)
		e.announce(w)
	}
	return failed, nil
}

// next are the owners as they will be, and for those that are here what is new of them.
func (e *Engine) next(all []Wanted) (next []*holding, fresh []Wanted) {
	for _, w := range all {
		h := &holding{Wanted: w}
		next = append(next, h)
		was := e.owner(w.Owner)
		if was == nil {
			continue
		}
		h.place = was.place
		if more := without(w.Addresses, was.Addresses); h.place == Here && len(more) > 0 {
			fresh = append(fresh, Wanted{w.Owner, w.Label, more, w.Rounds})
		}
	}
	return next, fresh
}

// addAll adds them all, or, with an error, none.
func (e *Engine) addAll(fresh []Wanted) error {
	var added []Address
	for _, w := range fresh {
		for _, a := range w.Addresses {
			changed, err := e.kernel.Add(a.Device, a.Prefix)
			if err != nil {
				return errors.Join(fmt.Errorf("add VIP: %w", err), Join(e.remove(w.Label, added)))
			}
			if changed {
				added = append(added, a)
			}
		}
	}
	return nil
}

// removeOld removes what is here and of no owner that will be here.
func (e *Engine) removeOld(next []*holding) (failed []Failure) {
	var stay []Address
	for _, h := range next {
		if h.place == Here {
			stay = append(stay, h.Addresses...)
		}
	}
	for _, was := range e.owners {
		if was.place == Here {
			failed = append(failed, e.remove(was.Label, without(was.Addresses, stay))...)
		}
	}
	return failed
}

// Move says where an owner's addresses are to be. They are added when that is here, and
// removed when it is here no more. Known is false for an owner that Set did not list.
func (e *Engine) Move(o Owner, to Place) (failed []Failure, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.owner(o)
	if h == nil {
		return nil, false
	}
	from := h.place
	h.place = to
	switch {
	case to == Here:
		return e.add(h.Wanted), true
	case from == Here:
		return e.remove(h.Label, h.Addresses), true
	}
	return nil, true
}

// Clear removes an owner's addresses wherever they are to be: a process that died may
// have left them.
func (e *Engine) Clear(o Owner) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.owner(o); h != nil {
		return Join(e.remove(h.Label, h.Addresses))
	}
	return nil
}

// Complete says whether all addresses of an owner are on their devices.
func (e *Engine) Complete(o Owner) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.owner(o)
	if h == nil {
		return false, nil
	}
	for _, a := range h.Addresses {
		have, err := e.kernel.List(a.Device)
		if err != nil || !slices.Contains(have, a.Prefix) {
			return false, err
		}
	}
	return true, nil
}

func (e *Engine) add(w Wanted) (failed []Failure) {
	for _, a := range w.Addresses {
		if _, err := e.kernel.Add(a.Device, a.Prefix); err != nil {
			failed = append(failed, Failure{Label: w.Label, Address: a, Err: err})
		}
	}
	return failed
}

func (e *Engine) remove(label string, list []Address) (failed []Failure) {
	for _, a := range list {
		if _, err := e.kernel.Remove(a.Device, a.Prefix); err != nil {
			err = fmt.Errorf("remove %s from %s: %w", a.Prefix, a.Device, err)
			failed = append(failed, Failure{label, a, true, err})
		}
	}
	return failed
}

// Join makes one error of failures; none is nil.
func Join(failed []Failure) error {
	var errs []error
	for _, f := range failed {
		errs = append(errs, f.Err)
	}
	return errors.Join(errs...)
}

// without lists the addresses that others does not have.
func without(list, others []Address) []Address {
	return slices.DeleteFunc(slices.Clone(list), func(a Address) bool { return slices.Contains(others, a) })
}

// Announce tells the neighbours of an owner's addresses, in as many rounds as it wants.
// Whoever calls it is the one who calls Move for the owner: an owner that moves away
// meanwhile would be announced where it is no more.
func (e *Engine) Announce(o Owner) {
	e.mu.Lock()
	h := e.owner(o)
	e.mu.Unlock()
	if h != nil { // what Set has listed does not change
		e.announce(h.Wanted)
	}
}

func (e *Engine) announce(w Wanted) {
	for range max(w.Rounds, 1) {
		for _, a := range w.Addresses {
			if err := e.announcer.Announce(a.Device, a.Prefix.Addr()); err != nil {
				e.unheard(w.Label, a.Prefix.Addr(), err)
			}
		}
	}
}
