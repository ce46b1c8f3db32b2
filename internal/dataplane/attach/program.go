package attach

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// programKey is a program for devices with one Ethernet address.
type programKey struct {
	mac  uint64
	name string
}

// program loads a program for a device with this address, or finds it: each takes
// the kernel a while to verify, and what was taken off is to be on again at once. It
// uses the very tables that this process writes to, whatever is pinned by now.
func (a *Devices) program(mac net.HardwareAddr, name string) (*ebpf.Program, error) {
	if program := a.programs[programKey{abi.MACWord(mac), name}]; program != nil {
		return program, nil
	}
	program, err := a.loadProgram(mac, name)
	if err != nil {
		return nil, err
	}
	a.keepProgram(mac, name, program)
	return program, nil
}

// keepProgram has one at hand from now on.
func (a *Devices) keepProgram(mac net.HardwareAddr, name string, program *ebpf.Program) {
	key := programKey{abi.MACWord(mac), name}
	if old := a.programs[key]; old != nil {
		old.Close()
	}
	a.programs[key] = program
}

// loadProgram loads one program; it needs no lock.
func (a *Devices) loadProgram(mac net.HardwareAddr, name string) (*ebpf.Program, error) {
	spec, err := SpecFor(a.spec, mac)
	if err != nil {
		return nil, err
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{name: spec.Programs[name]}
	all, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: a.maps.InObject()})
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	defer all.Close()
	return all.DetachProgram(name), nil
}

// SpecFor is the object for a device with this Ethernet address; nil is for any device.
func SpecFor(object *ebpf.CollectionSpec, mac net.HardwareAddr) (*ebpf.CollectionSpec, error) {
	spec := object.Copy()
	if err := spec.Variables[abi.BpfVarDeviceMac].Set(abi.MACWord(mac)); err != nil {
		return nil, fmt.Errorf("set the device's address: %w", err)
	}
	return spec, nil
}

// dropPrograms closes the programs for addresses that no device has any more.
func (a *Devices) dropPrograms() {
	used := map[uint64]bool{0: len(a.by) > 0} // those of all devices
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
