// Package realserver sets up a machine as a real server behind direct routing or a
// tunnel. It puts the VIP on lo, so that the machine accepts packets to it; it sets
// arp_ignore and arp_announce, so that the machine does not answer ARP for the VIP and
// clients and routers find the director; and for a tunnel it sets up decapsulation
// (tunnel.go).
package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"weir/internal/netlnk"
)

// DefaultState is the default path of the state file. Like the settings that it describes,
// it does not survive a boot.
const DefaultState = "/run/weir/realserver.json"

const loopback = "lo"

// RealServer sets up this machine as a real server. Its state file holds the settings that
// it found, so that Stop can restore them. Every call acts on the network namespace of the
// calling thread, and each namespace needs a state file of its own. Several processes may
// use one state file: a lock orders their changes.
type RealServer struct{ stateFile string }

// New makes a RealServer with the state file at this path. It reads and changes nothing.
func New(stateFile string) *RealServer { return &RealServer{stateFile: stateFile} }

// StateFile is the path of the state file.
func (r *RealServer) StateFile() string { return r.stateFile }

// Start sets lo up, puts the addresses on lo and sets the sysctls. It may be called again,
// with the same addresses or more: it then repairs what has changed, and Stop still
// restores what the first call found. Stop leaves an address on lo that lo already had.
//
// On a machine that is also a director, directorDevices are the devices on which it has
// the VIPs while it is master, so that Status does not report them there. Without any, the
// devices of the last call stay.
//
// An address that clients cannot reach (loopback, multicast, with a zone, …), no address
// at all, a damaged state file and one of another network namespace are errors.
func (r *RealServer) Start(vips []netip.Addr, directorDevices ...string) error {
	return r.start(vips, nil, directorDevices)
}

// StartTunnel does what Start does, and decapsulates the tunnelled packets for these
// addresses. Another call adds its devices and directors to those of before, and takes
// account of changes of this machine's own addresses.
func (r *RealServer) StartTunnel(vips []netip.Addr, t Tunnel, directorDevices ...string) error {
	return r.start(vips, &t, directorDevices)
}

func (r *RealServer) start(vips []netip.Addr, t *Tunnel, directorDevices []string) error {
	vips, err := canonical(vips)
	if err != nil {
		return err
	}
	if len(vips) == 0 {
		return errors.New("no virtual address given")
	}
	if err := os.MkdirAll(filepath.Dir(r.stateFile), 0o755); err != nil {
		return fmt.Errorf("directory of the state file: %w", err)
	}
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s, err := r.load()
	if err != nil {
		return err
	}
	if err := s.remember(vips, directorDevices); err != nil {
		return err
	}
	if t != nil {
		if err := s.rememberTunnel(vips, *t); err != nil {
			return err
		}
	}
	// The state file is written first: Stop can undo a Start that dies after this.
	if err := r.save(s); err != nil {
		return err
	}
	return s.apply()
}

// Stop removes the addresses from lo and from decapsulation; without any, all that were
// started. With the last IPv4 address it also restores the sysctls, except those that
// somebody has changed since Start. It leaves addresses alone that were never started.
func (r *RealServer) Stop(vips []netip.Addr) error {
	vips, err := canonical(vips)
	if err != nil {
		return err
	}
	unlock, err := r.lock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // without the directory of the state file nothing was started
	}
	if err != nil {
		return err
	}
	defer unlock()
	s, err := r.load()
	if err != nil {
		return err
	}
	if err := s.undo(vips); err != nil {
		return err
	}
	// The state file is changed last: another Stop completes one that died before this.
	if len(s.VIPs) == 0 {
		return r.forget()
	}
	return r.save(s)
}

// remember adds the present value of what apply is about to change to the state.
func (s *state) remember(vips []netip.Addr, directs []string) error {
	if len(directs) > 0 {
		s.DirectorDevices = directs
	}
	for _, vip := range vips {
		if s.started(vip) {
			continue
		}
		had, err := netlnk.HasAddress(loopback, host(vip))
		if err != nil {
			return err
		}
		s.VIPs = append(s.VIPs, vipState{Addr: vip, Added: !had})
	}
	if !s.hasIPv4() {
		return nil
	}
	for _, w := range wanted() {
		got, err := netlnk.Sysctl(w.device, w.name)
		if err != nil {
			return err
		}
		if !w.suffices(got) && !s.remembers(w.device, w.name) {
			s.Sysctls = append(s.Sysctls, sysctlState{Device: w.device, Name: w.name, Before: got, Set: w.value})
		}
	}
	return nil
}

// apply sets up the kernel as the state says. The sysctls come before the addresses, so
// that the machine never answers ARP for a VIP.
func (s *state) apply() error {
	lo, err := netlnk.LinkByName(loopback)
	if err != nil {
		return err
	}
	if !lo.Up {
		if err := netlnk.SetUp(loopback); err != nil {
			return err
		}
	}
	if s.hasIPv4() {
		if err := silence(); err != nil {
			return err
		}
	}
	for _, v := range s.VIPs {
		if _, err := netlnk.AddAddress(loopback, host(v.Addr)); err != nil {
			return err
		}
	}
	if s.Decap == nil {
		return nil
	}
	return s.applyDecap()
}

// undo ends decapsulation, removes the addresses from lo and then, with the last IPv4
// address, restores the sysctls.
func (s *state) undo(vips []netip.Addr) error {
	var gone, rest []vipState
	for _, v := range s.VIPs {
		if len(vips) > 0 && !slices.Contains(vips, v.Addr) {
			rest = append(rest, v)
		} else {
			gone = append(gone, v)
		}
	}
	s.VIPs = rest
	if err := s.undoTunnels(); err != nil {
		return err
	}
	for _, v := range gone {
		if !v.Added {
			continue
		}
		if _, err := netlnk.DelAddress(loopback, host(v.Addr)); err != nil {
			return err
		}
	}
	if s.hasIPv4() {
		return nil
	}
	for _, c := range s.Sysctls {
		if err := c.restore(); err != nil {
			return err
		}
	}
	s.Sysctls = nil
	return nil
}

// host is the address with the prefix length 32 or 128: with a shorter one lo would take
// all addresses of the subnet.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// canonical checks VIPs, turns mapped IPv4 addresses into plain ones, and drops
// repetitions.
func canonical(vips []netip.Addr) ([]netip.Addr, error) {
	return checked(vips, "virtual address %s: expected an address that clients can reach, like 192.168.25.100 or 2001:db8::100")
}

// canonicalDirectors does the same for directors' addresses.
func canonicalDirectors(directors []netip.Addr) ([]netip.Addr, error) {
	return checked(directors, "director %s: expected the address from which it sends tunnelled packets, like 192.168.25.31 or 2001:db8::31")
}

func checked(addrs []netip.Addr, complaint string) (out []netip.Addr, err error) {
	for _, addr := range addrs {
		a := addr.Unmap()
		if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
			return nil, fmt.Errorf(complaint, addr)
		}
		out = union(out, []netip.Addr{a})
	}
	return out, nil
}
