// Package attach puts the programs of the data plane on devices, in place of those of
// an earlier process, and keeps them there.
package attach

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/drift"
	"weir/lvs"
)

// Devices are the devices that the data plane is attached to.
type Devices struct {
	log    *slog.Logger
	pinDir string
	spec   *ebpf.CollectionSpec
	maps   *abi.Maps
	ledger *drift.Ledger
	moved  func(device string) error // is told of a device that was made anew
	forget func() error              // makes established flows take the full path once

	gate gate

	mu       sync.Mutex // guards the fields below
	by       map[string]*device
	asked    Wanted
	want     []lvs.Device      // those that are asked for, as they are now, and lo
	found    map[string]bool   // those of want that nobody named: it is no error if one cannot be used
	trunks   map[int]bool      // by index: those on which VLANs have devices of their own
	looked   time.Time         // when they were looked for last
	took     time.Duration     // how long that took
	putOff   bool              // they were not looked for when that was due, since it was done a moment before
	unfit    map[string]string // by name: what was told of those that cannot be used
	exits    Exits
	sends    *kmap.Mirror[uint32, uint8]          // the devices that send what XDP redirects to them
	far      *kmap.Mirror[uint32, abi.BpfFarEnds] // the devices whose far ends tc gives packets to, as bits
	farEnds  map[int]farEnd                       // by index: what was found of each exit
	mute     map[int]string                       // by index: what devices with native XDP said of what they send
	retries  map[string]retry
	programs map[programKey]*ebpf.Program // loaded for devices, or taken up
	loading  map[programKey]*loading
	turns    chan struct{}  // full while atOnce programs are being loaded
	spared   bool           // one of turns is taken so that a CPU is left for the caller
	left     []*leftProgram // of an earlier process, until devices have been set
	settled  bool           // no program is on a device but those that belong there
	older    bool           // those of an earlier process may be an older build's, with tables of its own
	tail     tail
}

// Options are what Devices work with.
type Options struct {
	Log     *slog.Logger
	PinDir  string
	Spec    *ebpf.CollectionSpec // of the programs
	Maps    *abi.Maps
	Mirrors *kmap.Mirrors
	Ledger  *drift.Ledger
	Moved   func(device string) error // is called, with the lock, for a device that was made anew
	Forget  func() error              // makes established flows take the full path once; called with the lock
	// Older says that an older build has left tables that this one's programs do not write to: all
	// of its programs are replaced by the first Set.
	Older bool
}

// Open takes up what an earlier process left attached: Set replaces or detaches it.
// Programs are loaded from the spec and use these maps; they and the links are pinned
// in pinDir.
func Open(o Options) (*Devices, error) {
	a := &Devices{
		log: o.Log, pinDir: o.PinDir, spec: o.Spec, maps: o.Maps, ledger: o.Ledger, moved: o.Moved, forget: o.Forget,
		older: o.Older,
		mute:  map[int]string{}, unfit: map[string]string{}, by: map[string]*device{}, retries: map[string]retry{}, programs: map[programKey]*ebpf.Program{}, loading: map[programKey]*loading{}, turns: make(chan struct{}, atOnce),
	}
	a.sends = kmap.Add[uint32, uint8](o.Mirrors, abi.BpfMapXdpExits, o.Maps.XdpExits, &a.mu, nil)
	a.far = kmap.Add[uint32, abi.BpfFarEnds](o.Mirrors, abi.BpfVarFarEnds, o.Maps.FarEnds, &a.mu, nil)
	if err := o.Mirrors.Err(); err != nil {
		return nil, err
	}
	a.takeUpPrograms()
	if err := a.takeUpTail(); err != nil {
		return nil, fmt.Errorf("take up the program for local traffic: %w", err)
	}
	return a, nil
}

// Shut has no program get to a device from now on. It waits for no verification.
func (a *Devices) Shut() { a.gate.close() }

// Unless does something that Shut waits for, unless that has been called before.
func (a *Devices) Unless(do func() error) error { return a.gate.pass(do) }

// Close leaves what is attached where it is: what is pinned stays in force.
func (a *Devices) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.by {
		d.close()
	}
	for _, program := range a.programs {
		program.Close()
	}
	a.dropLoading()
	a.closeLeft()
	clear(a.by)
	clear(a.programs)
}
