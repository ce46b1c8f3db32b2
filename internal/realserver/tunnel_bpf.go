package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"weir/internal/netlnk"
)

// The program is attached as a filter of clsact on every kernel. A filter outlives the
// process without being pinned, goes with its device, and is replaced at once by a new
// program with all of its tables.

// attach loads a program with the present tables and attaches it to the devices.
func (s *state) attach(want layout) error {
	objects, err := s.loadProgram(want)
	if err != nil {
		return err
	}
	defer objects.Close()
	for _, l := range want.devices {
		if err := netlnk.SetFilter(l.Index, netlnk.FilterDecap, objects.WeirDecap.FD(), "weir_decap"); err != nil {
			return fmt.Errorf("attach decapsulation to %s: %w", l.Name, err)
		}
	}
	return nil
}

// detachOthers detaches the program from the devices to which it may be attached, except
// those to keep.
func (s *state) detachOthers(keep []netlnk.Link) error {
	for _, name := range s.Decap.Attached {
		if find(keep, name).Name != "" {
			continue
		}
		l, err := netlnk.LinkByName(name)
		if errors.Is(err, netlnk.ErrNoDevice) {
			continue
		}
		if err != nil {
			return err
		}
		if err := netlnk.DeleteFilter(l.Index, netlnk.FilterDecap); err != nil {
			return err
		}
	}
	return nil
}

// loadProgram loads the program and fills its tables. Its counters go on from those of the
// program that it will replace.
func (s *state) loadProgram(want layout) (*decapObjects, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("allow memory for BPF: %w", err)
	}
	spec, err := loadDecap()
	if err != nil {
		return nil, fmt.Errorf("read the BPF object: %w", err)
	}
	if err := spec.Variables["directors_only"].Set(len(s.Decap.Directors) > 0); err != nil {
		return nil, fmt.Errorf("limit the senders: %w", err)
	}
	objects, err := loadAfter(spec, want.devices)
	if err != nil {
		return nil, fmt.Errorf("load the program that decapsulates: %w", err)
	}
	tables := map[*ebpf.Map][]netip.Addr{
		objects.Vips: s.tunnelVIPs(), objects.TunnelAddrs: want.addrs, objects.Directors: s.Decap.Directors,
	}
	for table, addrs := range tables {
		for _, a := range addrs {
			if err := table.Put(a.As16(), uint8(1)); err != nil {
				objects.Close()
				return nil, fmt.Errorf("enter %s into the program's tables: %w", a, err)
			}
		}
	}
	return objects, nil
}

// loadAfter loads the object with the table of counters of a program that is attached to
// one of the devices. Where that table has another layout, the counters begin at 0.
func loadAfter(spec *ebpf.CollectionSpec, devices []netlnk.Link) (*decapObjects, error) {
	var objects decapObjects
	for _, l := range devices {
		old, err := attachedTo(l)
		if err != nil {
			return nil, err
		}
		if old == nil {
			continue
		}
		defer old.close()
		err = spec.LoadAndAssign(&objects, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{"counts": old["counts"]}})
		if errors.Is(err, ebpf.ErrMapIncompatible) {
			break
		}
		return &objects, err
	}
	return &objects, spec.LoadAndAssign(&objects, nil)
}

// tables are the maps of an attached program, by name.
type tables map[string]*ebpf.Map

// attachedTo opens the maps of the program that is attached to a device; nil where none is.
func attachedTo(l netlnk.Link) (tables, error) {
	id, err := netlnk.FilterProgram(l.Index, netlnk.FilterDecap)
	if err != nil || id == 0 {
		return nil, err
	}
	program, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it was detached meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("open the program on %s: %w", l.Name, err)
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return nil, fmt.Errorf("look at the program on %s: %w", l.Name, err)
	}
	ids, _ := info.MapIDs()
	found := tables{}
	for _, id := range ids {
		if err := found.open(id); err != nil {
			found.close()
			return nil, fmt.Errorf("open a table of the program on %s: %w", l.Name, err)
		}
	}
	for _, name := range []string{"vips", "tunnel_addrs", "directors", "counts"} {
		if found[name] == nil { // it is another program
			found.close()
			return nil, nil
		}
	}
	return found, nil
}

func (t tables) open(id ebpf.MapID) error {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return err
	}
	info, err := m.Info()
	if err != nil {
		m.Close()
		return err
	}
	t[info.Name] = m
	return nil
}

func (t tables) close() {
	for _, m := range t {
		m.Close()
	}
}

// addrs lists a map of addresses, sorted.
func (t tables) addrs(name string) (list []netip.Addr, err error) {
	var key [16]byte
	var value uint8
	all := t[name].Iterate()
	for all.Next(&key, &value) {
		list = append(list, netip.AddrFrom16(key).Unmap())
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("read table %s: %w", name, err)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list, nil
}

// counts is the number of packets that looked like a tunnel's, by enum decap_count, over
// all CPUs.
func (t tables) counts() (sums [decapDecapCountDECAP_COUNTS]uint64, err error) {
	for key := range sums {
		var perCPU []uint64
		if err := t["counts"].Lookup(uint32(key), &perCPU); err != nil {
			return sums, fmt.Errorf("read table counts: %w", err)
		}
		for _, n := range perCPU {
			sums[key] += n
		}
	}
	return sums, nil
}
