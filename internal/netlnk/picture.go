package netlnk

import (
	"fmt"
	"net/netip"
	"slices"
)

// Picture is a machine's devices and their addresses at one moment.
type Picture struct {
	links     []Link
	byName    map[string]Link
	addresses map[string][]Address    // by device, in the kernel's order
	own       map[netip.Addr][]string // devices that have the address, which weir has not added
	all       map[netip.Addr]bool     // whoever has added them
}

// Look takes a picture of the calling thread's network namespace. It leaves out the names
// of drivers, which are slow to ask for.
func Look() (*Picture, error) {
	links, err := links(describe)
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	addresses, err := addressesOf(names)
	if err != nil {
		return nil, err
	}
	return NewPicture(links, addresses), nil
}

// NewPicture makes a picture of these devices and addresses.
func NewPicture(links []Link, addresses []Address) *Picture {
	p := &Picture{links: links, byName: make(map[string]Link, len(links)), addresses: map[string][]Address{}, own: map[netip.Addr][]string{}, all: make(map[netip.Addr]bool, len(addresses))}
	for _, l := range links {
		p.byName[l.Name] = l
	}
	for _, a := range addresses {
		p.addresses[a.Dev] = append(p.addresses[a.Dev], a)
		p.all[a.Prefix.Addr()] = true
		if addr := a.Prefix.Addr(); a.AddedBy != AddedByWeir {
			p.own[addr] = append(p.own[addr], a.Dev)
		}
	}
	return p
}

// Links are the devices, in the kernel's order.
func (p *Picture) Links() []Link { return p.links }

// SameDevices says whether two pictures have the same devices by the same names.
func (p *Picture) SameDevices(o *Picture) bool {
	for name, l := range p.byName {
		if o.byName[name].Index != l.Index {
			return false
		}
	}
	return len(p.byName) == len(o.byName)
}

// SetUp has the picture show a device as up or down, whatever it was. It is for whoever has
// taken the picture, before others see it.
func (p *Picture) SetUp(dev string, up bool) {
	for i := range p.links {
		if p.links[i].Name == dev {
			p.links[i].Up = up
			p.byName[dev] = p.links[i]
		}
	}
}

// Addresses are a device's addresses, in the kernel's order.
func (p *Picture) Addresses(dev string) []Address { return p.addresses[dev] }

// Link finds a device by its name; the error wraps ErrNoDevice when there is none.
func (p *Picture) Link(name string) (Link, error) {
	l, ok := p.byName[name]
	if !ok {
		return Link{}, fmt.Errorf("device %q: %w", name, ErrNoDevice)
	}
	return l, nil
}

// PortOf names the bridge or the bond that takes what a device receives; empty is none. What
// is received then is no more the device's own. The master of a VRF takes nothing.
func (p *Picture) PortOf(l Link) string {
	i := slices.IndexFunc(p.links, func(m Link) bool { return l.Master != 0 && m.Index == l.Master })
	if i >= 0 && slices.Contains(takers, p.links[i].Kind) {
		return p.links[i].Name
	}
	return ""
}

// Local says whether an address is this machine's own. One with a zone is looked for on
// that device only. A VIP that weir has added is not: it comes and goes.
func (p *Picture) Local(addr netip.Addr) bool {
	devices := p.own[addr.WithZone("")]
	return len(devices) > 0 && (addr.Zone() == "" || slices.Contains(devices, addr.Zone()))
}

// Has says whether this machine has an address now, be it a VIP that weir has added.
func (p *Picture) Has(addr netip.Addr) bool { return p.all[addr] }

// Scope is how far an IPv6 address reaches.
type Scope uint8

const (
	LinkLocal Scope = iota
	Global
)

// PrimaryAddr6 is a device's own IPv6 address: one of the scope, or a link-local one where
// none is, that is nobody's VIP and that can be used already. It is the first of those that
// last longest, since peers may know the machine by it: one that an administrator gave before
// those of router advertisements, and a temporary one last. Callers exclude the VIPs that they
// know; others are known by their marks, as deprecated, or as networks of one address. A device
// without an address of its own is an error.
func (p *Picture) PrimaryAddr6(dev string, scope Scope, excluded func(netip.Addr) bool) (netip.Addr, error) {
	local := func(a Address) bool { return a.Prefix.Addr().IsLinkLocalUnicast() }
	var own []Address
	for _, a := range p.addresses[dev] {
		addr := a.Prefix.Addr()
		if addr.Is6() && !a.Tentative && a.AddedBy != AddedByWeir && a.AddedBy != addedByKeepalived && !excluded(addr) {
			own = append(own, a)
		}
	}
	for _, may := range []func(Address) bool{
		func(a Address) bool { return local(a) == (scope == LinkLocal) },
		func(a Address) bool { return scope == Global && local(a) },
	} {
		if i := lasting(own, may); i >= 0 {
			return own[i].Prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("device %s has no IPv6 address of its own to be used", dev)
}

// lasting is the place of the IPv6 address, of those that may be, that lasts longest; less than
// 0 where there is none.
func lasting(own []Address, may func(Address) bool) int {
	for _, is := range []func(Address) bool{
		func(a Address) bool { return !a.Deprecated && !a.Dynamic && !a.Prefix.IsSingleIP() },
		func(a Address) bool { return !a.Deprecated && !a.Temporary && !a.Prefix.IsSingleIP() },
		func(a Address) bool { return !a.Deprecated && !a.Temporary },
		func(a Address) bool { return !a.Temporary },
		func(a Address) bool { return true },
	} {
		if i := slices.IndexFunc(own, func(a Address) bool { return may(a) && is(a) }); i >= 0 {
			return i
		}
	}
	return -1
}

// PrimaryAddr is a device's own IPv4 address: the first one that is nobody's VIP.
// Callers exclude the VIPs that they know, which come and go. Others are known by their
// marks, as further addresses of a network, or as networks of one address beside larger
// ones. A device without an address of its own is an error.
func (p *Picture) PrimaryAddr(dev string, excluded func(netip.Addr) bool) (netip.Addr, error) {
	var own []Address
	for _, a := range p.addresses[dev] {
		if a.Prefix.Addr().Is4() && a.AddedBy != AddedByWeir && a.AddedBy != addedByKeepalived && !excluded(a.Prefix.Addr()) {
			own = append(own, a)
		}
	}
	// Secondary addresses count where all others are VIPs: the machine's own one is
	// secondary where it came after a VIP of its network.
	for _, may := range []func(Address) bool{
		func(a Address) bool { return !a.Secondary && !a.Prefix.IsSingleIP() },
		func(a Address) bool { return !a.Secondary },
		func(a Address) bool { return true },
	} {
		if i := slices.IndexFunc(own, may); i >= 0 {
			return own[i].Prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("device %s has no IPv4 address of its own: give it one (ip address add … dev %s)", dev, dev)
}
