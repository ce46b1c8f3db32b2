// Package vip keeps virtual addresses on devices: it adds and removes them, tells the
// neighbours, and repairs what somebody else changed. It is told whole wanted values
// and works out the difference itself.
//
// Each address belongs to an owner. Set says which addresses each owner has; Move says
// where an owner's addresses are to be; Announce has the neighbours told. Move and
// Announce only note what is to be done, and return: they are called by goroutines that
// send advertisements on time. A goroutine of the owner's then changes the addresses, and
// one of each device sends the announcements, until nothing is left to do.
package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"weir/internal/drift"
	"weir/internal/netlnk"
)

// Addresses is the kernel's table of addresses. Changed is false where nothing was to
// be done: the address is there, or is gone, already.
type Addresses interface {
	// List lists the addresses of a device, or of all devices where its name is empty.
	List(device string) ([]netlnk.Address, error)
	// Add adds an address and marks it as weir's. Preferred is that of Address. An
	// address that the device has gets it, and keeps its mark and its options.
	Add(device string, p netip.Prefix, preferred uint32, o netlnk.AddressOptions) (changed bool, err error)
	Remove(device string, p netip.Prefix) (changed bool, err error)
}

// Address is an address wanted on a device.
type Address struct {
	Device string
	Prefix netip.Prefix
	// Preferred is for how many seconds an IPv6 address may be the source of what this
	// machine sends though the device has another one; netlnk.PreferredForever is
	// always. It means nothing for IPv4.
	Preferred uint32
	Options   netlnk.AddressOptions
}

func (a Address) String() string { return fmt.Sprintf("%s on %s", a.Prefix, a.Device) }

// place is what an address is removed by.
func (a Address) place() Address { return Address{Device: a.Device, Prefix: a.Prefix} }

// Owner names who has addresses.
type Owner string

// Wanted is what one owner has.
type Wanted struct {
	Owner Owner
	// Label is the owner as people know it, for reports.
	Label     string
	Addresses []Address
	// Entries are routes and rules that go with the addresses: they are added after them,
	// in their order, and removed before them.
	Entries []netlnk.Entry
	// Rounds is how often each address is announced at once; 0 is once.
	Rounds int
	Extra  Extra
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
	Entry    netlnk.Entry // a route or a rule instead of an address
	Removing bool
	Err      error
}

// Reports are told what went wrong. The engine's goroutines call them.
type Reports struct {
	// Failed is told, once for each Move, of the addresses that could not be added, or
	// removed, because of it.
	Failed func([]Failure)
	// Unheard is told of the first announcement of a round that could not be sent.
	Unheard func(label string, addr netip.Addr, err error)
}

// Engine keeps the addresses of all owners. Set, Repair, Clear, ClearLeft and Complete are
// called by one goroutine, Move and Announce by any.
type Engine struct {
	kernel    Addresses
	announcer Announcer
	drift     *drift.Ledger
	told      Reports

	// work is held while addresses change on devices; an owner's goroutine holds it for
	// one batch at a time. It is locked before mu.
	work sync.Mutex
	// mu guards what follows, and the holdings. It is never held while the kernel is
	// asked.
	mu      sync.Mutex
	owners  []*holding
	heralds map[string]*herald // by device
	paces   *paces             // nil is none
	settled sync.Cond          // an owner's goroutine has nothing left to do
}

// holding is an owner's addresses, and where they are to be.
type holding struct {
	Wanted
	place Place
	// turn counts the calls of Move, version the changes by Set: what was begun before
	// is not carried on with.
	turn, version uint64
	gone          bool // Set has forgotten the owner
	busy          bool // its goroutine runs
	todo          change
	lost          []Address // to be mended
	missing       []Failure // that the last Repair could not put back
	announce      bool      // once its addresses are added
	counts        Counts
	extra         *telling // nil is none
}

// New makes an engine without owners. Drift of addresses is noted in the ledger.
func New(kernel Addresses, announcer Announcer, ledger *drift.Ledger, told Reports) *Engine {
	e := &Engine{kernel: kernel, announcer: announcer, drift: ledger, told: told, heralds: map[string]*herald{}}
	e.settled.L = &e.mu
	return e
}

// owner is called with mu.
func (e *Engine) owner(o Owner) *holding {
	i := slices.IndexFunc(e.owners, func(h *holding) bool { return h.Owner == o })
	if i < 0 {
		return nil
	}
	return e.owners[i]
}

// wanted is an owner's present addresses; nil for one that Set did not list.
func (e *Engine) wanted(o Owner) *Wanted {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.owner(o); h != nil {
		w := h.Wanted
		return &w
	}
	return nil
}

// Clear removes an owner's addresses wherever they are to be: a process that died may
// have left them.
func (e *Engine) Clear(o Owner) error {
	e.work.Lock()
	defer e.work.Unlock()
	if w := e.wanted(o); w != nil {
		return Join(append(e.takeEntries(w.Label, w.Entries), e.remove(w.Label, w.Addresses)...))
	}
	return nil
}

// ClearLeft removes the addresses that a process that died has added and that no owner
// has any more, and lists them. The error is about those that could not be listed or
// removed.
func (e *Engine) ClearLeft() (removed []Address, err error) {
	e.work.Lock()
	defer e.work.Unlock()
	all, err := e.kernel.List("")
	if err != nil {
		return nil, err
	}
	wanted := map[Address]bool{}
	e.mu.Lock()
	for _, h := range e.owners {
		for _, a := range h.Addresses {
			wanted[a.place()] = true
		}
	}
	e.mu.Unlock()
	var left []Address
	for _, a := range all {
		if at := (Address{Device: a.Dev, Prefix: a.Prefix}); a.AddedBy == netlnk.AddedByWeir && !wanted[at] {
			left = append(left, at)
		}
	}
	failed := e.remove("", left)
	removed = slices.DeleteFunc(left, func(a Address) bool {
		return slices.ContainsFunc(failed, func(f Failure) bool { return f.Address == a })
	})
	return removed, Join(failed)
}

// Complete says whether all addresses of an owner are on their devices.
func (e *Engine) Complete(o Owner) (bool, error) {
	e.work.Lock()
	defer e.work.Unlock()
	w := e.wanted(o)
	if w == nil {
		return false, nil
	}
	for device, list := range byDevice(w.Addresses) {
		have, err := e.have(device)
		if err != nil {
			return false, err
		}
		for _, a := range list {
			if _, here := have[a.Prefix]; !here {
				return false, nil
			}
		}
	}
	return true, nil
}

// have is what a device has, by address and length.
func (e *Engine) have(device string) (map[netip.Prefix]netlnk.Address, error) {
	list, err := e.kernel.List(device)
	if err != nil {
		return nil, err
	}
	have := make(map[netip.Prefix]netlnk.Address, len(list))
	for _, a := range list {
		have[a.Prefix] = a
	}
	return have, nil
}

func byDevice(list []Address) map[string][]Address {
	by := map[string][]Address{}
	for _, a := range list {
		by[a.Device] = append(by[a.Device], a)
	}
	return by
}

// add and remove are called with work.
func (e *Engine) add(label string, list []Address) (failed []Failure) {
	for _, a := range list {
		if _, err := e.kernel.Add(a.Device, a.Prefix, a.Preferred, a.Options); err != nil {
			failed = append(failed, Failure{Label: label, Address: a, Err: err})
		}
	}
	return failed
}

func (e *Engine) remove(label string, list []Address) (failed []Failure) {
	for _, a := range list {
		// Where its device is gone, so is the address.
		if _, err := e.kernel.Remove(a.Device, a.Prefix); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			err = fmt.Errorf("remove %s from %s: %w", a.Prefix, a.Device, err)
			failed = append(failed, Failure{Label: label, Address: a, Removing: true, Err: err})
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
