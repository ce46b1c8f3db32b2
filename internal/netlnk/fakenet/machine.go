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
	addrs    map[string][]netlnk.Address // by device; the first of a network is primary
	watchers []chan netlnk.Event
	refused  map[string]int
	calls    []string
	slow     time.Duration // that each change of an address takes
	speakers int           // that are open
	onSet    func()
	entries  []netlnk.Entry

	leases map[lvs.InstanceID]time.Time // until when each runs
	plan   *lvs.Plan                    // the last one; nil before one
}

// Machine adds a machine with the device eth0, of number 2, and this address on it.
func (s *Segment) Machine(address string) *Machine {
	p := netip.MustParsePrefix(address)
	last := p.Addr().As4()[3]
	m := &Machine{
		segment: s, mac: net.HardwareAddr{2, 0, 0, 0, 0, last}, refused: map[string]int{},
		addrs: map[string][]netlnk.Address{
			"lo": {{Dev: "lo", Prefix: netip.MustParsePrefix("127.0.0.1/8")}}, "eth0": {{Dev: "eth0", Prefix: p}},
		},
		leases: map[lvs.InstanceID]time.Time{},
	}
	m.links = []netlnk.Link{{Index: 1, Name: "lo", Up: true}, {Index: 2, Name: "eth0", Up: true, MAC: m.mac, Kind: "device"}}
	return m
}

// Refuse has the n-th call from now on of this name fail with ErrRefused: "add",
// "remove", "list", "look", "speaker", "announce", "set", "check", "open", "reopen", "watch",
// "renew", "release" or "leased". 0 has it succeed again; a negative n has all calls fail.
func (m *Machine) Refuse(call string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused[call] = n
}

// Slow has each change of an address take so long from now on.
func (m *Machine) Slow(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slow = d
}

// takeTime is what Slow has said. It is called without mu.
func (m *Machine) takeTime() {
	m.mu.Lock()
	d := m.slow
	m.mu.Unlock()
	time.Sleep(d)
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

// SetMAC gives a device another Ethernet address.
func (m *Machine) SetMAC(device string, mac net.HardwareAddr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err != nil {
		panic(err)
	}
	l.MAC = mac
	m.tell(netlnk.LinkChanged, l.Index)
}

// OnSet has a change of the machine happen once, before the next call of Set is answered.
func (m *Machine) OnSet(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onSet = do
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
	m.addrs[device] = []netlnk.Address{{Dev: device, Prefix: netip.MustParsePrefix(address)}}
	m.tell(netlnk.LinkChanged, index)
	m.tell(netlnk.AddressChanged, index)
}

// List is that of vip.Addresses.
func (m *Machine) List(device string) (list []netlnk.Address, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if device == "" {
		for _, l := range m.links {
			list = append(list, m.addrs[l.Name]...)
		}
		return list, m.refuses("list")
	}
	if _, err := m.link(device); err != nil {
		return nil, err
	}
	return slices.Clone(m.addrs[device]), m.refuses("list")
}

// Prefixes are the addresses of a device, which has to be there.
func (m *Machine) Prefixes(device string) (list []netip.Prefix) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.link(device); err != nil {
		panic(err)
	}
	for _, a := range m.addrs[device] {
		list = append(list, a.Prefix)
	}
	return list
}

// Give adds an address as another program does.
func (m *Machine) Give(device string, p netip.Prefix) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("add %s", p)
	if err := m.put(netlnk.Address{Dev: device, Prefix: p}); err != nil {
		panic(err)
	}
}

// Take removes an address as another program does.
func (m *Machine) Take(device string, p netip.Prefix) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err != nil {
		panic(err)
	}
	m.note("remove %s", p)
	m.addrs[device] = slices.DeleteFunc(m.addrs[device], func(a netlnk.Address) bool { return a.Prefix == p })
	m.tell(netlnk.AddressChanged, l.Index)
}

// put adds an address, or another one of the same prefix in its place. The caller holds mu.
func (m *Machine) put(a netlnk.Address) error {
	l, err := m.link(a.Dev)
	if err != nil {
		return err
	}
	if i := m.find(a.Dev, a.Prefix); i >= 0 {
		m.addrs[a.Dev][i] = a
	} else {
		m.addrs[a.Dev] = append(m.addrs[a.Dev], a)
	}
	m.tell(netlnk.AddressChanged, l.Index)
	return nil
}

// find is the place of an address among its device's; -1 is none. The caller holds mu.
func (m *Machine) find(device string, p netip.Prefix) int {
	return slices.IndexFunc(m.addrs[device], func(a netlnk.Address) bool { return a.Prefix == p })
}

// Add is that of vip.Addresses.
func (m *Machine) Add(device string, p netip.Prefix, preferred uint32, _ netlnk.AddressOptions) (bool, error) {
	m.takeTime()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := netlnk.Address{Dev: device, Prefix: p, AddedBy: netlnk.AddedByWeir, Deprecated: p.Addr().Is6() && preferred == 0}
	_, err := m.link(device)
	if err == nil {
		err = m.refuses("add")
	}
	if err != nil {
		return false, err
	}
	if i := m.find(device, p); i >= 0 {
		if had := &m.addrs[device][i]; had.Deprecated != a.Deprecated {
			had.Deprecated = a.Deprecated
			m.note("prefer %s for %d s", p, preferred)
		}
		return false, nil
	}
	m.note("add %s", p)
	return true, m.put(a)
}

// Remove is that of vip.Addresses. With the primary address of a network go its
// secondary ones, as net.ipv4.conf.all.promote_secondaries=0 has it.
func (m *Machine) Remove(device string, p netip.Prefix) (bool, error) {
	m.takeTime()
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err == nil {
		err = m.refuses("remove")
	}
	i := m.find(device, p)
	if err != nil || i < 0 {
		return false, err
	}
	same := func(a netlnk.Address) bool { return p.Addr().Is4() && a.Prefix.Masked() == p.Masked() }
	primary := slices.IndexFunc(m.addrs[device], same) == i
	m.addrs[device] = slices.DeleteFunc(m.addrs[device], func(a netlnk.Address) bool { return a.Prefix == p || primary && same(a) })
	m.note("remove %s", p)
	m.tell(netlnk.AddressChanged, l.Index)
	return true, nil
}

// Look is the devices and addresses as they are.
func (m *Machine) Look() (*netlnk.Picture, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuses("look"); err != nil {
		return nil, err
	}
	var all []netlnk.Address
	for _, l := range m.links {
		all = append(all, m.addrs[l.Name]...)
	}
	return netlnk.NewPicture(slices.Clone(m.links), all), nil
}

// Resolve finds the device in whose network an address is.
func (m *Machine) Resolve(a netip.Addr) (netlnk.NextHop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		for _, has := range m.addrs[l.Name] {
			if p := has.Prefix; p.Contains(a) {
				return netlnk.NextHop{Index: l.Index, Local: p.Addr() == a}, nil
			}
		}
	}
	return netlnk.NextHop{}, fmt.Errorf("%s: network is unreachable", a)
}

// Device is the device of Resolve.
func (m *Machine) Device(a netip.Addr) (index int, err error) {
	hop, err := m.Resolve(a)
	if err != nil || hop.Local {
		return 0, err
	}
	return hop.Index, nil
}

// Close is of Device: there is nothing to close.
func (m *Machine) Close() {}
