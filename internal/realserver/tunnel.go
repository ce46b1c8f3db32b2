package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// Decap is what decapsulates: removes the outer header of tunnelled packets.
type Decap string

const (
	// DecapAuto is DecapBPF where an earlier call has chosen that, else DecapKernel where
	// the kernel has the devices, else DecapBPF. The empty Decap is the same.
	DecapAuto Decap = "auto"
	// DecapKernel is the kernel's ipip, sit and ip6tnl devices. They decapsulate packets
	// whatever the inner destination is.
	DecapKernel Decap = "kernel"
	// DecapBPF is the program bpf/decap.bpf.c at tc ingress. It decapsulates packets only
	// where the inner destination is a VIP.
	DecapBPF Decap = "bpf"
)

// Tunnel says which tunnelled packets a real server decapsulates, and by what. The zero
// Tunnel takes them on every device and from every sender, as DecapAuto.
type Tunnel struct {
	// Devices are the devices on which tunnelled packets come in; the outer destination
	// is one of their addresses. Empty is every Ethernet device with an address other
	// than the VIPs.
	Devices []string
	// Directors are the outer sources; empty is every sender.
	Directors []netip.Addr
	Decap     Decap
}

// layout is what decapsulation needs with the present devices and addresses.
type layout struct {
	devices []netlnk.Link // on which tunnelled packets come in
	// addrs are the outer destinations: the devices' addresses other than the VIPs.
	addrs []netip.Addr
	// tunnels are the kernel's tunnel devices; empty with DecapBPF.
	tunnels []netlnk.Tunnel
}

// rememberTunnel adds what applyDecap is about to set up to the state.
func (s *state) rememberTunnel(vips []netip.Addr, t Tunnel) error {
	directors, err := canonicalDirectors(t.Directors)
	if err != nil {
		return err
	}
	for i, v := range s.VIPs {
		s.VIPs[i].Tunnel = v.Tunnel || slices.Contains(vips, v.Addr)
	}
	if s.Decap == nil {
		s.Decap = &decapState{}
	}
	d := s.Decap
	d.Devices = union(d.Devices, t.Devices)
	d.Directors = union(d.Directors, directors)
	want, err := s.layout()
	if err != nil {
		return err
	}
	if err := d.choose(t.Decap, s.tunnels(want.addrs)); err != nil {
		return err
	}
	if d.By == DecapKernel {
		d.Tunnels = union(d.Tunnels, s.tunnels(want.addrs))
		return nil
	}
	for _, l := range want.devices {
		d.Attached = union(d.Attached, []string{l.Name})
	}
	return nil
}

// choose decides between the kernel's devices and the program: what was asked for, what
// was chosen before, or what the kernel has.
func (d *decapState) choose(asked Decap, tunnels []netlnk.Tunnel) error {
	switch asked {
	case DecapBPF:
		d.By = DecapBPF
		return nil
	case DecapAuto, "":
		if d.By == DecapBPF {
			return nil
		}
	case DecapKernel:
	default:
		return fmt.Errorf("decapsulation by %q: expected auto, kernel or bpf", asked)
	}
	d.By = DecapKernel
	for _, t := range tunnels {
		has, err := netlnk.HasTunnelKind(t.Kind)
		if err != nil {
			return err
		}
		if has {
			continue
		}
		if asked == DecapKernel {
			return fmt.Errorf("this kernel has no %s device: load its module (modprobe %s), or decapsulate by a BPF program (--decap bpf)", t.Kind, t.Kind)
		}
		d.By = DecapBPF
	}
	return nil
}

// layout works out what decapsulation needs now. A device that does not exist or is no
// Ethernet device, and no address at all, are errors.
func (s *state) layout() (layout, error) {
	var l layout
	links, err := netlnk.Links()
	if err != nil {
		return l, err
	}
	for _, name := range s.Decap.Devices {
		switch link := find(links, name); {
		case link.Name == "":
			return l, fmt.Errorf("device %q: %w", name, netlnk.ErrNoDevice)
		case len(link.MAC) != 6:
			return l, fmt.Errorf("device %q has no Ethernet address: expected one by which directors reach this machine, like eth0", name)
		}
	}
	for _, link := range links {
		named := slices.Contains(s.Decap.Devices, link.Name)
		if len(link.MAC) != 6 || !named && len(s.Decap.Devices) > 0 {
			continue
		}
		own, err := s.ownAddresses(link.Name)
		if err != nil {
			return l, err
		}
		if len(own) > 0 || named {
			l.devices = append(l.devices, link)
			l.addrs = union(l.addrs, own)
		}
	}
	if len(l.addrs) == 0 {
		return l, errors.New("no device has an address to which directors could send tunnelled packets: give one an address, or name the right one (--device)")
	}
	if s.Decap.By == DecapKernel {
		l.tunnels = s.tunnels(l.addrs)
	}
	return l, nil
}

// ownAddresses are the global unicast addresses of a device that are no started VIPs.
func (s *state) ownAddresses(dev string) (own []netip.Addr, err error) {
	all, err := netlnk.Addresses(dev)
	if errors.Is(err, netlnk.ErrNoDevice) {
		return nil, nil // it was removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if a := p.Addr(); a.IsGlobalUnicast() && !s.started(a) {
			own = append(own, a)
		}
	}
	return own, nil
}

// removeDecap removes the program from all devices, and all tunnel devices.
func (s *state) removeDecap() error {
	if err := s.detachOthers(nil); err != nil {
		return err
	}
	if err := s.deleteOtherTunnels(nil); err != nil {
		return err
	}
	s.Decap = nil
	return nil
}

// applyDecap sets up decapsulation as the state says. It adds what is new before it
// removes what is old, so that no packet is lost in between.
func (s *state) applyDecap() error {
	want, err := s.layout()
	if err != nil {
		return err
	}
	if s.Decap.By == DecapBPF {
		if err := s.attach(want); err != nil {
			return err
		}
	}
	if err := s.addTunnels(want.tunnels); err != nil {
		return err
	}
	if s.Decap.By == DecapKernel {
		want.devices = nil
	}
	if err := s.detachOthers(want.devices); err != nil {
		return err
	}
	return s.deleteOtherTunnels(want.tunnels)
}

// undoTunnels adapts decapsulation to the VIPs that are left.
func (s *state) undoTunnels() error {
	if s.Decap == nil {
		return nil
	}
	if len(s.tunnelVIPs()) == 0 {
		return s.removeDecap()
	}
	// That a device no longer exists is no reason for Stop to fail.
	s.Decap.Devices = slices.DeleteFunc(s.Decap.Devices, func(name string) bool {
		_, err := netlnk.LinkByName(name)
		return errors.Is(err, netlnk.ErrNoDevice)
	})
	return s.applyDecap()
}

// tunnelVIPs are the VIPs whose packets may come in a tunnel.
func (s *state) tunnelVIPs() (vips []netip.Addr) {
	for _, v := range s.VIPs {
		if v.Tunnel {
			vips = append(vips, v.Addr)
		}
	}
	return vips
}

// union appends those of more that are not in to yet.
func union[T comparable](to, more []T) []T {
	for _, x := range more {
		if !slices.Contains(to, x) {
			to = append(to, x)
		}
	}
	return to
}
