// Package realserver gives a machine what a real server behind direct routing or
// a tunnel needs: the virtual address on lo, so that it takes packets sent to it,
// silence about it on the wire (arp_ignore, arp_announce), so that clients and
// routers find the director there, and for a tunnel whatever takes the outer
// header off (tunnel.go).
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

// DefaultState is where the state file lies unless told otherwise. It is lost at
// a boot, as are the settings it remembers.
const DefaultState = "/run/weir/realserver.json"

const loopback = "lo"

// RealServer sets up this machine as a real server; its state file remembers
// what was there before. Every call acts on the network namespace of the calling
// thread, and each namespace needs a state file of its own.
type RealServer struct{ stateFile string }

// New makes a RealServer.
func New(stateFile string) *RealServer { return &RealServer{stateFile: stateFile} }

// StateFile is where this one remembers what was there before.
func (r *RealServer) StateFile() string { return r.stateFile }

// Start puts the addresses on lo and keeps the machine silent about them. It may
// be called again, with the same addresses or more: it repairs what has changed,
// and what it remembered the first time stays. An address that lo had already is
// left there by Stop. It switches lo on. A machine that is a director, too, names
// the devices on which it holds virtual addresses while it is master, so that Status
// expects them there; none given are those of before.
func (r *RealServer) Start(vips []netip.Addr, directorDevices ...string) error {
	return r.start(vips, nil, directorDevices)
}

// StartTunnel does what Start does, and has the machine take packets for the
// addresses out of tunnels. Called again, it adds devices and directors to those
// of before, and follows this machine's own addresses.
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
	// The memory comes first: a crash from here on loses nothing.
	if err := r.save(s); err != nil {
		return err
	}
	return s.apply()
}

// Stop takes the addresses from lo, and out of the tunnels; none given means all that Start put there.
// With the last IPv4 address the sysctls return to what they were, but for one
// that somebody else has set to another value since. Addresses that were never
// started are none of its business.
func (r *RealServer) Stop(vips []netip.Addr) error {
	vips, err := canonical(vips)
	if err != nil {
		return err
	}
	unlock, err := r.lock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no directory, no memory: nothing was started
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
	// The memory goes last: a crash before here is made good by another Stop.
	if len(s.VIPs) == 0 {
		return r.forget()
	}
	return r.save(s)
}

// remember adds to the state what apply is about to change.
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

// apply makes the kernel as the state wants it, silence before addresses.
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

// undo has tunnels end, takes addresses from lo and then, with the last one, the
// silence.
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

// host is the address alone, /32 or /128: lo must not take a whole subnet.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// canonical checks virtual addresses, and drops repetitions.
func canonical(vips []netip.Addr) ([]netip.Addr, error) {
	return checked(vips, "virtual address %s: expected an address that clients can reach, like 192.168.25.100 or 2001:db8::100")
}

// canonicalDirectors checks directors' addresses, and drops repetitions.
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
