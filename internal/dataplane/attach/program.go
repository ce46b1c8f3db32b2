package attach

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// programKey is a program with what is fixed in it when it is loaded.
type programKey struct {
	name  string
	mac   uint64 // of the device (abi.MACWord), or 0 for any
	trunk bool   // VLANs on it have devices of their own
}

// program loads a program, or finds it: each takes the kernel a while to verify, and what
// was taken off is to be on again at once. One that an earlier process has left is taken up, and
// one that is being loaded is waited for. It uses the very tables that this process writes to,
// whatever is pinned by now.
func (a *Devices) program(key programKey) (*ebpf.Program, error) {
	a.loadAhead(key)
	if program := a.programs[key]; program != nil {
		return program, nil
	}
	l := a.loading[key]
	delete(a.loading, key)
	if <-l.done; l.err != nil {
		return nil, l.err
	}
	a.keepProgram(key, l.program)
	return l.program, nil
}

// loading is a program that is being loaded. It is there, or the error, once done is closed.
type loading struct {
	done    chan struct{}
	dropped atomic.Bool // nobody wants it any more
	program *ebpf.Program
	err     error
}

// atOnce is how many programs are loaded side by side at most. Each takes a CPU, tens of megabytes
// of the kernel's memory and a file for each of its tables meanwhile.
const atOnce = 2

// spare has programs be loaded one after the other on a machine with few CPUs, so that one is left
// for the caller, until it is told not to.
func (a *Devices) spare(one bool) {
	if one == a.spared || one && runtime.GOMAXPROCS(0) > atOnce {
		return
	}
	if a.spared = one; !one {
		<-a.turns
		return
	}
	select {
	case a.turns <- struct{}{}:
	default: // as many are being loaded already
		a.spared = false
	}
}

// loadAhead begins to load programs that are wanted soon, in this order.
func (a *Devices) loadAhead(keys ...programKey) {
	for _, key := range keys {
		if a.programs[key] != nil || a.loading[key] != nil {
			continue
		}
		left, err := a.takeLeft(key)
		if left != nil {
			a.keepProgram(key, left.Program)
			continue
		}
		l := &loading{done: make(chan struct{}), err: err}
		a.loading[key] = l
		go func() {
			defer close(l.done)
			a.turns <- struct{}{}
			defer func() { <-a.turns }()
			if l.err == nil && !l.dropped.Load() {
				l.program, l.err = a.loadProgram(key)
			}
		}()
	}
}

// dropLoading closes what was loaded ahead and that nobody has asked for, without waiting for it.
func (a *Devices) dropLoading() {
	for _, l := range a.loading {
		l.dropped.Store(true)
		go func() {
			if <-l.done; l.program != nil {
				l.program.Close()
			}
		}()
	}
	clear(a.loading)
}

// keepProgram has one at hand from now on.
func (a *Devices) keepProgram(key programKey, program *ebpf.Program) {
	if old := a.programs[key]; old != nil {
		old.Close()
	}
	a.programs[key] = program
}

// loadProgram loads one program; it needs no lock.
func (a *Devices) loadProgram(key programKey) (*ebpf.Program, error) {
	spec, err := specOf(a.spec, key)
	if err != nil {
		return nil, err
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{key.name: spec.Programs[key.name]}
	all, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: a.maps.InObject()})
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	defer all.Close()
	return all.DetachProgram(key.name), nil
}

// SpecFor is the object for a device with this Ethernet address; nil is for any device.
func SpecFor(object *ebpf.CollectionSpec, mac net.HardwareAddr) (*ebpf.CollectionSpec, error) {
	return specOf(object, programKey{mac: abi.MACWord(mac)})
}

func specOf(object *ebpf.CollectionSpec, key programKey) (*ebpf.CollectionSpec, error) {
	spec := object.Copy()
	if err := spec.Variables[abi.BpfVarDeviceMac].Set(key.mac); err != nil {
		return nil, fmt.Errorf("set the device's address: %w", err)
	}
	if err := spec.Variables[abi.BpfVarVlanDevices].Set(key.trunk); err != nil {
		return nil, fmt.Errorf("set whether it has VLANs: %w", err)
	}
	return spec, nil
}

// dropPrograms closes the programs for addresses that no device has any more. Those for any
// address stay: where all devices have gone, others may come at once.
func (a *Devices) dropPrograms() {
	used := map[uint64]bool{0: true}
	for _, d := range a.by {
		used[abi.MACWord(d.mac)] = true
	}
	for key, program := range a.programs {
		if !used[key.mac] {
			program.Close()
			delete(a.programs, key)
		}
	}
}
