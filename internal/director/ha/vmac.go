package ha

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/vmac"
	"weir/lvs"
)

// VMACs are the macvlan devices that instances need.
func VMACs(cfgs []conf.VRRPInstance) (all []vmac.Device) {
	for _, c := range cfgs {
		for _, v := range c.VMACs() {
			d := vmac.Device{Name: v.Name, Base: v.Base, MAC: v.MAC, Group: v.Group, Notify: v.Notify, IPv4: !v.IPv6, IPv6: v.IPv6}
			if v.Own && v.IPv6 && c.Sender() == v.Name {
				d.Speaks = true
				if c.SourceIP.IsLinkLocalUnicast() {
					d.Source = c.SourceIP
				}
			}
			all = append(all, d)
		}
	}
	return all
}

// virtualMACs are an instance's Ethernet addresses for the data plane: frames to them come in
// by the interfaces below.
func virtualMACs(c conf.VRRPInstance) (all []lvs.VirtualMAC) {
	for _, v := range c.VMACs() {
		all = append(all, lvs.VirtualMAC{Device: v.Base, MAC: v.MAC})
	}
	return all
}

// bindVMACs says which of an instance's macvlan devices is missing though what it is over is
// there: it is about to be made, or could not be. Without one to speak by there is no source.
func (b *Binding) bindVMACs(c conf.VRRPInstance, p *netlnk.Picture) {
	for _, v := range c.VMACs() {
		if _, err := p.Link(v.Base); err != nil {
			continue // which is missing, and said so
		}
		l, err := p.Link(v.Name)
		fault, speaks := "", v.Own && c.Sender() == v.Name
		switch {
		case err != nil:
			fault = err.Error()
		case speaks && v.IPv6 && b.Source.IsValid() && !has(p.Addresses(v.Name), b.Source):
			fault, b.Source = fmt.Sprintf("address to send from: %s does not have %s", l.Name, b.Source), netip.Addr{}
		case !l.Up && (v.Base != c.Interface || !c.IgnoreOwnInterface):
			fault = fmt.Sprintf("interface %s is down", l.Name)
		}
		if b.Fault == "" {
			b.Fault = fault
		}
		if speaks && err != nil {
			b.Source = netip.Addr{}
		}
	}
}

func has(list []netlnk.Address, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(a netlnk.Address) bool { return a.Prefix.Addr() == addr })
}
