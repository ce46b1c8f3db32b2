// Package fakenet is machines on one network segment, with as much of a kernel as a
// director asks for: devices, addresses, the leases and services of a data plane, and
// a segment that carries VRRP advertisements in no time. It needs no root, and all its
// times are those of testing/synctest.
package fakenet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/netlnk"
	"weir/lvs"
)

// ErrRefused is what a call returns that Refuse has named.
var ErrRefused = errors.New("refused by the test")

// Machine is one machine. It outlives the directors that run on it, as a kernel does.
type Machine struct {
	segment *Segment
	mac     net.HardwareAddr

	mu       sync.Mutex
	links    []netlnk.Link
	addrs    map[string][]netip.Prefix // by device; the first of a network is primary
	watchers []chan netlnk.Event
	refused  map[string]int
	calls    []string

	leases map[lvs.InstanceID]time.Time // until when each runs
	plan   *lvs.Plan                    // the last one; nil before one
}

// Machine adds a machine with the device eth0, of number 2, and this address on it.
func (s *Segment) Machine(address string) *Machine {
	p := netip.MustParsePrefix(address)
	last := p.Addr().As4()[3]
	m := &Machine{
		segment: s, mac: net.HardwareAddr{2, 0, 0, 0, 0, last}, refused: map[string]int{},
		addrs:  map[string][]netip.Prefix{"lo": {netip.MustParsePrefix("127.0.0.1/8")}, "eth0": {p}},
		leases: map[lvs.InstanceID]time.Time{},
	}
	m.links = []netlnk.Link{{Index: 1, Name: "lo", Up: true}, {Index: 2, Name: "eth0", Up: true, MAC: m.mac, Kind: "device"}}
	return m
}

// Refuse has the n-th call from now on of this name fail with ErrRefused: "add",
// "remove", "list", "announce", "set", "check", "open", "reopen", "watch", "renew",
// "release" or "leased". 0 has it succeed again; a negative n has all calls fail.
func (m *Machine) Refuse(call string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[call] = n
}

// refuses counts a call. The caller holds mu.
func (m *Machine) refuses(call string) error {
	switch n := m.refused[call]; {
	case n < 0:
		return ErrRefused
	case n > 0:
		if m.refused[call]--; n == 1 {
			return ErrRefused
		}
	}
	return nil
}

// Calls returns what was done since it was called last: added and removed addresses,
// and announcements, as lines.
func (m *Machine) Calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

func (m *Machine) note(format string, args ...any) {
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

// tell reports to all watchers. One that does not read loses reports.
func (m *Machine) tell(kind netlnk.Kind, index int) {
	for _, w := range m.watchers {
		select {
		case w <- netlnk.Event{Kind: kind, Index: index}:
		default:
		}
	}
}

// Watch is that of director.Machine.
func (m *Machine) Watch(ctx context.Context) (<-chan netlnk.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuses("watch"); err != nil {
		return nil, err
	}
	reports := make(chan netlnk.Event, 1024)
	m.watchers = append(m.watchers, reports)
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(w chan netlnk.Event) bool { return w == reports })
		close(reports)
	})
	return reports, nil
}

func (m *Machine) link(name string) (*netlnk.Link, error) {
	for i := range m.links {
		if m.links[i].Name == name {
			return &m.links[i], nil
		}
	}
	return nil, fmt.Errorf("device %q: %w", name, netlnk.ErrNoDevice)
}

// SetUp switches a device on or off.
func (m *Machine) SetUp(device string, up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err != nil {
		panic(err)
	}
	l.Up = up
	m.tell(netlnk.LinkChanged, l.Index)
}

// Unplug removes a device, with its addresses.
func (m *Machine) Unplug(device string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.links = slices.DeleteFunc(m.links, func(l netlnk.Link) bool { return l.Name == device })
	delete(m.addrs, device)
	m.tell(netlnk.LinkChanged, 0)
}

// Plug makes a device of this number, which is up and has this address.
func (m *Machine) Plug(device string, index int, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.links = append(m.links, netlnk.Link{Index: index, Name: device, Up: true, MAC: m.mac, Kind: "device"})
	m.addrs[device] = []netip.Prefix{netip.MustParsePrefix(address)}
	m.tell(netlnk.LinkChanged, index)
	m.tell(netlnk.AddressChanged, index)
}

// List is that of vip.Addresses.
func (m *Machine) List(device string) ([]netip.Prefix, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.link(device); err != nil {
		return nil, err
	}
	return slices.Clone(m.addrs[device]), m.refuses("list")
}

// Add is that of vip.Addresses.
func (m *Machine) Add(device string, p netip.Prefix) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err == nil {
		err = m.refuses("add")
	}
	if err != nil || slices.Contains(m.addrs[device], p) {
		return false, err
	}
	m.addrs[device] = append(m.addrs[device], p)
	m.note("add %s", p)
	m.tell(netlnk.AddressChanged, l.Index)
	return true, nil
}

// Remove is that of vip.Addresses. With the primary address of a network go its
// secondary ones, as net.ipv4.conf.all.promote_secondaries=0 has it.
func (m *Machine) Remove(device string, p netip.Prefix) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err == nil {
		err = m.refuses("remove")
	}
	i := slices.Index(m.addrs[device], p)
	if err != nil || i < 0 {
		return false, err
	}
	same := func(a netip.Prefix) bool { return a.Masked() == p.Masked() }
	primary := slices.IndexFunc(m.addrs[device], same) == i
	m.addrs[device] = slices.DeleteFunc(m.addrs[device], func(a netip.Prefix) bool { return a == p || primary && same(a) })
	m.note("remove %s", p)
	m.tell(netlnk.AddressChanged, l.Index)
	return true, nil
}

// Announce is that of vip.Announcer: the segment learns who has the address.
func (m *Machine) Announce(device string, addr netip.Addr) error {
	m.mu.Lock()
	_, err := m.link(device)
	if err == nil {
		err = m.refuses("announce")
	}
	if err == nil {
		m.note("announce %s", addr)
	}
	m.mu.Unlock()
	if err == nil {
		m.segment.announced(addr, m)
	}
	return err
}

// LinkByName is that of ha.Interfaces.
func (m *Machine) LinkByName(name string) (netlnk.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(name)
	if err != nil {
		return netlnk.Link{}, err
	}
	return *l, nil
}

// PrimaryAddr is that of ha.Interfaces.
func (m *Machine) PrimaryAddr(name string, exclude []netip.Addr) (netip.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.addrs[name] {
		if !slices.Contains(exclude, p.Addr()) {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("device %s has no IPv4 address of its own", name)
}

// Links lists the devices.
func (m *Machine) Links() ([]netlnk.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.links), nil
}

// AllHolders lists all addresses, by device.
func (m *Machine) AllHolders() (all []netlnk.Holder, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		for _, p := range m.addrs[l.Name] {
			all = append(all, netlnk.Holder{Dev: l.Name, Prefix: p})
		}
	}
	return all, nil
}

// Resolve finds the device in whose network an address is.
func (m *Machine) Resolve(a netip.Addr) (netlnk.NextHop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		for _, p := range m.addrs[l.Name] {
			if p.Contains(a) {
				return netlnk.NextHop{Index: l.Index, Local: p.Addr() == a}, nil
			}
		}
	}
	return netlnk.NextHop{}, fmt.Errorf("%s: network is unreachable", a)
}

// Close is of Resolve: there is nothing to close.
func (m *Machine) Close() {}
