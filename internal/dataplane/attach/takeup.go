package attach

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// leftProgram is a program that an earlier process has left in force, and that uses the tables
// of this one. It is the very program that this process would load where it was loaded from the
// same object with the same constants: a restart then does not wait for the verifier, which
// takes seconds and a CPU.
type leftProgram struct {
	*ebpf.Program
	id        ebpf.ProgramID
	name      string // as far as the kernel keeps it
	constants []byte // the object's checksum is among them
}

// takeUpPrograms finds what an earlier process has left. What cannot be read is not taken up:
// then a program is loaded in its place.
func (a *Devices) takeUpPrograms() {
	tables := map[ebpf.MapID]bool{}
	for _, table := range a.maps.InObject() {
		if info, err := table.Info(); err == nil {
			id, _ := info.ID()
			tables[id] = true
		}
	}
	for _, id := range a.ProgramsInForce() {
		if left, err := a.openLeft(id, tables); err == nil {
			a.left = append(a.left, left)
		} else {
			a.log.Debug("a program of an earlier process is not taken up", "program", id, "why", err)
		}
	}
}

// ProgramsInForce are those that are attached by the pins, and that for local traffic.
func (a *Devices) ProgramsInForce() (ids []ebpf.ProgramID) {
	pins, _ := pinsOfPrograms(a.pinDir)
	for _, pin := range pins {
		if id, err := pinnedProgram(pin); err == nil {
			ids = append(ids, id)
		}
	}
	if id, err := a.LocalProgram(); err == nil {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// openLeft opens a program that uses these tables, and beside them nothing but constants and
// scratch tables.
func (a *Devices) openLeft(id ebpf.ProgramID, tables map[ebpf.MapID]bool) (_ *leftProgram, err error) {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			program.Close()
		}
	}()
	info, err := program.Info()
	if err != nil {
		return nil, err
	}
	uses, ok := info.MapIDs()
	if !ok {
		return nil, fmt.Errorf("the kernel does not tell its tables: %w", ebpf.ErrNotSupported)
	}
	left := &leftProgram{Program: program, id: id, name: info.Name}
	for _, table := range uses {
		if tables[table] {
			continue
		}
		if err := a.openOwn(left, table); err != nil {
			return nil, err
		}
	}
	if left.constants == nil {
		return nil, errors.New("it has no constants")
	}
	return left, nil
}

// openOwn looks at a table that a program has to itself: its constants, which it reads, a
// scratch table, which is not pinned and whose contents matter for one packet only, or the tables
// of an older build whose connections have been taken over.
func (a *Devices) openOwn(left *leftProgram, id ebpf.MapID) error {
	table, err := ebpf.NewMapFromID(id)
	if err != nil {
		return err
	}
	defer table.Close()
	info, err := table.Info()
	if err != nil {
		return err
	}
	if info.Name == abi.Constants && info.Frozen() {
		left.constants, err = table.LookupBytes(uint32(0))
		return err
	}
	if info.Name == abi.OlderConnTables && info.Type == ebpf.ArrayOfMaps && !a.older {
		return nil // it is empty, and nobody looks into it
	}
	if scratch := a.spec.Maps[info.Name]; scratch == nil || scratch.Pinning != ebpf.PinNone || info.Name == abi.Constants {
		return fmt.Errorf("it uses table %d, %q, which is not this data plane's", id, info.Name)
	}
	return nil
}

// takeLeft is the program that an earlier process has left and that this one would load for
// the key, or nil. It is the caller's from now on.
func (a *Devices) takeLeft(key programKey) (*leftProgram, error) {
	if len(a.left) == 0 {
		return nil, nil
	}
	spec, err := specOf(a.spec, key)
	if err != nil {
		return nil, err
	}
	constants, err := constantsIn(spec)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(a.left, func(p *leftProgram) bool {
		return p.name == kernelName(key.name) && bytes.Equal(p.constants, constants)
	})
	if i < 0 {
		return nil, nil
	}
	left := a.left[i]
	a.left = slices.Delete(a.left, i, i+1)
	return left, nil
}

// constantsIn are the constants that an object's programs are loaded with.
func constantsIn(spec *ebpf.CollectionSpec) ([]byte, error) {
	table := spec.Maps[abi.Constants]
	if table == nil || len(table.Contents) != 1 {
		return nil, fmt.Errorf("the object has no %s", abi.Constants)
	}
	compiled, ok := table.Contents[0].Value.([]byte)
	if !ok {
		return nil, fmt.Errorf("the object's %s is a %T, not bytes", abi.Constants, table.Contents[0].Value)
	}
	constants := bytes.Clone(compiled)
	for _, v := range spec.Variables {
		if v.SectionName == abi.Constants {
			copy(constants[v.Offset:], v.Value)
		}
	}
	return constants, nil
}

// closeLeft closes what has not been taken up: other programs have its places now.
func (a *Devices) closeLeft() {
	for _, p := range a.left {
		p.Close()
	}
	a.left = nil
}
