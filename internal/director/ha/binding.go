package ha

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/lvs"
)

// Binding is what an instance speaks by on a machine as it is.
type Binding struct {
	id lvs.InstanceID
	// Index is the interface's; 0 where it does not exist.
	Index int
	// Source is the address that advertisements come from; invalid where there is none.
	Source netip.Addr
	// Fault is why the instance cannot take part, in words; empty where it can.
	Fault string
	// Missing is not nil where a device that the configuration names does not exist. A
	// start refuses that; an instance that runs is in fault until the device comes.
	Missing error
	// Weight is what tracked interfaces add to the priority; it may be negative.
	Weight int
	// heardAs are the Ethernet addresses by which the VIPs are announced.
	heardAs string
}

// Bind works out by what an instance speaks on a machine of which this is the picture. It
// asks nobody. VIPs are the addresses that are no source: those of all instances.
func Bind(c conf.VRRPInstance, p *netlnk.Picture, vips map[netip.Addr]bool) (b Binding) {
	l, err := p.Link(c.Interface)
	b.id, b.Index = ID(c), l.Index
	switch {
	case err != nil:
		b.Missing, b.Fault = err, err.Error()
	case !l.Up && !c.IgnoreOwnInterface:
		b.Fault = fmt.Sprintf("interface %s is down", l.Name)
	case c.FaultWithoutPeer && len(c.Peers) == 0:
		b.Fault = "it has no unicast peer"
	case c.IPVLAN.On && !c.IPv6() && !c.IPVLAN.Addr.IsValid():
		b.Fault = "use_ipvlan has no address to send from: write use_ipvlan ... IP"
	case p.PortOf(l) != "":
		b.Fault = fmt.Sprintf("interface %s is a port of %s, which takes the adverts that it receives: speak there", l.Name, p.PortOf(l))
	}
	var sourceless error
	if err == nil {
		b.Source, sourceless = source(c, p, vips)
	}
	b.bindVIPs(c, p)
	if sourceless != nil && b.Fault == "" {
		b.Fault = sourceless.Error()
	}
	return b
}

// source is the address that advertisements come from, which is no VIP of any instance.
func source(c conf.VRRPInstance, p *netlnk.Picture, vips map[netip.Addr]bool) (netip.Addr, error) {
	if c.SourceIP.IsValid() {
		if !p.Local(c.SourceIP) {
			return netip.Addr{}, fmt.Errorf("address to send from: this machine does not have %s", c.SourceIP)
		}
		return c.SourceIP, nil
	}
	excluded := func(a netip.Addr) bool { return vips[a] }
	device := c.Interface // that of use_vmac has the same IPv6 address
	if c.IPVLAN.On {
		device = c.IPVLAN.Name
	}
	own, err := p.PrimaryAddr(device, excluded)
	if c.IPv6() {
		own, err = source6(c, device, p, excluded)
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address to send from: %w", err)
	}
	return own, nil
}

// source6 is an address of a device in the network of a peer, by which the peers know this
// machine, where it has one.
func source6(c conf.VRRPInstance, device string, p *netlnk.Picture, excluded func(netip.Addr) bool) (netip.Addr, error) {
	near := map[netip.Addr]bool{}
	for _, a := range p.Addresses(device) {
		near[a.Prefix.Addr()] = slices.ContainsFunc(c.Peers, func(peer conf.Peer) bool { return a.Prefix.Contains(peer.Addr.WithZone("")) })
	}
	own, err := p.PrimaryAddr6(device, scopeOf(c.Peers), func(a netip.Addr) bool { return excluded(a) || !near[a] })
	if err != nil {
		own, err = p.PrimaryAddr6(device, scopeOf(c.Peers), excluded)
	}
	return own, err
}

// scopeOf is netlnk.Global where peers are to be reached over routers, and otherwise
// netlnk.LinkLocal, which adverts of IPv6 come from (RFC 5798 section 5.1.2.1).
func scopeOf(peers []conf.Peer) netlnk.Scope {
	if slices.ContainsFunc(peers, func(p conf.Peer) bool { return !p.Addr.IsLinkLocalUnicast() }) {
		return netlnk.Global
	}
	return netlnk.LinkLocal
}

// bindVIPs looks at the other devices that VIPs are on. Where one cannot carry them, another
// director is to have all of them, as in keepalived; no_track of an address leaves its
// device out.
func (b *Binding) bindVIPs(c conf.VRRPInstance, p *netlnk.Picture) {
	var seen []string
	for _, a := range c.Addresses() {
		l, err := p.Link(a.Device)
		below, missing := l, err
		if a.Base != "" {
			below, missing = p.Link(a.Base) // what is above it weir makes itself
		}
		if missing != nil && b.Missing == nil {
			b.Missing = fmt.Errorf("VIP %s: %w", a.Prefix, missing)
		}
		if err == nil && !slices.Contains(seen, a.Device) {
			seen = append(seen, a.Device)
			b.heardAs += a.Device + " " + l.MAC.String() + " "
		}
		if below.Name == c.Interface || a.NoTrack || b.Fault != "" {
			continue
		}
		switch {
		case missing != nil:
			b.Fault = fmt.Sprintf("VIP %s: %v", a.Prefix, missing)
		case !below.Up:
			b.Fault = fmt.Sprintf("interface %s of VIP %s is down", below.Name, a.Prefix)
		}
	}
	b.bindOwnDevices(c, p)
}

// on is an instance's configuration with the address that its advertisements come from.
func (b Binding) on(c conf.VRRPInstance) conf.VRRPInstance {
	if !c.SourceIP.IsValid() {
		c.SourceIP = b.Source
	}
	return c
}

// Bindings are those of all instances.
func Bindings(cfgs []conf.VRRPInstance, p *netlnk.Picture) []Binding {
	vips := allAddrs(cfgs)
	all := make([]Binding, 0, len(cfgs))
	for _, c := range cfgs {
		all = append(all, Bind(c, p, vips))
	}
	return all
}

// allAddrs are the VIPs of all instances.
func allAddrs(cfgs []conf.VRRPInstance) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, c := range cfgs {
		for _, a := range Addrs(c.Addresses()) {
			all[a] = true
		}
	}
	return all
}

// Left says whether a device has a VIP of weir's that no instance is to have there: one that
// has got another name keeps the VIPs that it had.
func Left(cfgs []conf.VRRPInstance, p *netlnk.Picture) bool {
	type place struct {
		device string
		prefix netip.Prefix
	}
	wanted := map[place]bool{}
	for _, c := range cfgs {
		for _, a := range c.Addresses() {
			wanted[place{a.Device, a.Prefix}] = true
		}
	}
	for _, l := range p.Links() {
		for _, a := range p.Addresses(l.Name) {
			if a.AddedBy == netlnk.AddedByWeir && !wanted[place{a.Dev, a.Prefix}] {
				return true
			}
		}
	}
	return false
}
