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

// OwnDevices are the devices that instances need over their interfaces.
func OwnDevices(cfgs []conf.VRRPInstance) (all []vmac.Device) {
	for _, c := range cfgs {
		for _, v := range c.OwnDevices() {
			d := vmac.Device{
				Name: v.Name, Base: v.Base, MAC: v.MAC, Ipvlan: v.Ipvlan, Addr: v.Addr,
				Group: v.Group, Notify: v.Notify, IPv4: !v.IPv6, IPv6: v.IPv6,
			}
			if v.Own && v.IPv6 && v.Ipvlan == "" && c.Sender() == v.Name {
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
	for _, v := range c.OwnDevices() {
		if v.Ipvlan == "" {
			all = append(all, lvs.VirtualMAC{Device: v.Base, MAC: v.MAC})
		}
	}
	return all
}

// bindOwnDevices says which of an instance's own devices is missing though what it is over is
// there: it is about to be made, or could not be. Without one to speak by there is no source.
func (b *Binding) bindOwnDevices(c conf.VRRPInstance, p *netlnk.Picture) {
	for _, v := range c.OwnDevices() {
		if _, err := p.Link(v.Base); err != nil {
			continue // which is missing, and said so
		}
		l, err := p.Link(v.Name)
		fault, speaks := "", v.Own && c.Sender() == v.Name
		switch {
		case err != nil:
			fault = err.Error()
		case speaks && needsSource(c, v) && b.Source.IsValid() && !has(p.Addresses(v.Name), b.Source):
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

// needsSource says whether the device by which an instance speaks has to have the address that
// it speaks from. The kernel sends IPv4 from any address of the machine's.
func needsSource(c conf.VRRPInstance, v conf.OwnDevice) bool {
	return c.IPv6() || v.Addr.IsValid() && c.SourceIP == v.Addr.Addr()
}

// BindUnmade puts instances whose devices could not be made in fault, for the reason that the
// kernel has given.
func BindUnmade(cfgs []conf.VRRPInstance, all []Binding, unmade map[string]error) {
	for i, c := range cfgs {
		for _, v := range c.OwnDevices() {
			if err := unmade[v.Name]; err != nil && all[i].Missing == nil {
				all[i].Fault = err.Error()
			}
		}
	}
}

func has(list []netlnk.Address, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(a netlnk.Address) bool { return a.Prefix.Addr() == addr })
}
