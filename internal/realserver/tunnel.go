package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// Decap is what takes the outer header off tunnelled packets.
type Decap string

const (
	// DecapAuto is the kernel's devices where it has them, else the program.
	DecapAuto Decap = "auto"
	// DecapKernel is the kernel's ipip, sit and ip6tnl devices. They take
	// packets for whatever address comes out of the tunnel.
	DecapKernel Decap = "kernel"
	// DecapBPF is a program at tc ingress, which takes packets for VIPs only.
	DecapBPF Decap = "bpf"
)

// Tunnel says how packets come to a real server in a tunnel. Its zero value
// takes them on any device, from anybody, by what the kernel has.
type Tunnel struct {
	// Devices are where tunnelled packets come in; their addresses are the
	// tunnel's. None: every Ethernet device with an address of its own.
	Devices []string
	// Directors may send; none: anybody.
	Directors []netip.Addr
	Decap     Decap
}

// layout is what decapsulation takes, as devices and addresses are now.
type layout struct {
	devices []netlnk.Link
	// addrs are the outer destinations: the devices' own addresses.
	addrs []netip.Addr
	// tunnels are the kernel's devices, where they do it.
	tunnels []netlnk.Tunnel
}

// rememberTunnel adds to the state what applyDecap is about to change.
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

// choose settles who decapsulates: as asked, as before, or as the kernel can.
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

// layout works out what decapsulation takes now.
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

// ownAddresses are a device's addresses by which this machine itself is known.
func (s *state) ownAddresses(dev string) (own []netip.Addr, err error) {
	all, err := netlnk.Addresses(dev)
	if errors.Is(err, netlnk.ErrNoDevice) {
		return nil, nil // it has just gone
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

// removeDecap takes away all that decapsulates.
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

// applyDecap makes the kernel as the state wants it. What is new comes before
// what is old goes, so that no packet is lost in between.
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

// undoTunnels makes decapsulation fit the addresses that are left.
func (s *state) undoTunnels() error {
	if s.Decap == nil {
		return nil
	}
	if len(s.tunnelVIPs()) == 0 {
		return s.removeDecap()
	}
	// What is gone cannot be named any more, and is nothing to complain of here.
	s.Decap.Devices = slices.DeleteFunc(s.Decap.Devices, func(name string) bool {
		_, err := netlnk.LinkByName(name)
		return errors.Is(err, netlnk.ErrNoDevice)
	})
	return s.applyDecap()
}

func (s *state) tunnelVIPs() (vips []netip.Addr) {
	for _, v := range s.VIPs {
		if v.Tunnel {
			vips = append(vips, v.Addr)
		}
	}
	return vips
}

// union adds what is not there yet.
func union[T comparable](to, more []T) []T {
	for _, x := range more {
		if !slices.Contains(to, x) {
			to = append(to, x)
		}
	}
	return to
}
