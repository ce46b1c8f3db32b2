package conf

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"weir/conf/text"
)

// OwnDevice is a device that an instance has over an interface: a macvlan for use_vmac, an
// ipvlan for use_ipvlan.
type OwnDevice struct {
	Name, Base string
	// MAC is that of a macvlan; an ipvlan has its base's.
	MAC net.HardwareAddr
	// Ipvlan is the mode of an ipvlan: bridge, private or vepa. It is empty for a macvlan.
	Ipvlan string
	// Addr is the address of an ipvlan; invalid is none but that of the kernel's making.
	Addr netip.Prefix
	// Group is nil where it is the base's.
	Group *int
	// Notify has the kernel report the base once the device is there.
	Notify bool
	// IPv6 says that the instance, or what the device is for, is of IPv6.
	IPv6 bool
	// Own is that of the instance, by which it may send advertisements; others only have
	// addresses.
	Own bool
}

// OwnDevices are the devices that an instance has, each once.
func (i *VRRPInstance) OwnDevices() (list []OwnDevice) {
	switch {
	case i.VMAC.On:
		list = append(list, OwnDevice{Name: i.VMAC.Name, Base: i.Interface, MAC: i.virtualMAC(i.IPv6()), Group: i.VMAC.Group, Notify: i.VMAC.Notify, IPv6: i.IPv6(), Own: true})
	case i.IPVLAN.On:
		list = append(list, OwnDevice{Name: i.IPVLAN.Name, Base: i.Interface, Ipvlan: i.IPVLAN.Mode, Addr: i.IPVLAN.Addr, Group: i.IPVLAN.Group, IPv6: i.hasIPv6(), Own: true})
	}
	for _, a := range i.Addresses() {
		if a.Base != "" && !slices.ContainsFunc(list, func(v OwnDevice) bool { return v.Name == a.Device }) {
			ip6 := a.Prefix.Addr().Is6()
			list = append(list, OwnDevice{Name: a.Device, Base: a.Base, MAC: i.virtualMAC(ip6), IPv6: ip6})
		}
	}
	return list
}

// hasIPv6 says whether any address of the instance is of IPv6.
func (i *VRRPInstance) hasIPv6() bool {
	return slices.ContainsFunc(i.Addresses(), func(a VIP) bool { return a.Prefix.Addr().Is6() })
}

// Sender is the device by which the instance's advertisements leave.
func (i *VRRPInstance) Sender() string {
	switch {
	case i.VMAC.On && !i.VMACXmitBase:
		return i.VMAC.Name
	case i.IPVLAN.On:
		return i.IPVLAN.Name
	}
	return i.Interface
}

// virtualMAC is the virtual router's Ethernet address: that of use_vmac, or that of RFC 9568
// section 7.3.
func (i *VRRPInstance) virtualMAC(ip6 bool) net.HardwareAddr {
	text := i.VMAC.MAC
	switch {
	case text == "" && ip6:
		text = "00:00:5e:00:02"
	case text == "":
		text = "00:00:5e:00:01"
	}
	if strings.Count(text, ":") == 4 {
		text += fmt.Sprintf(":%02x", i.VRID)
	}
	mac, _ := net.ParseMAC(text) // it was read already
	return mac
}

// deviceNames are the names of devices that instances have.
type deviceNames map[string]bool

// free is a name that no device has yet: prefix.VRID, and with a number behind the prefix
// where that is taken, which for IPv6 is 6 first, as keepalived makes it
// (create_vmac_name in vrrp.c).
func (n deviceNames) free(prefix string, vrid uint8, ip6 bool) string {
	const longest = 15 // IFNAMSIZ in linux/if.h, less the zero at the end
	name := func(number string) string {
		end := fmt.Sprintf("%s.%d", number, vrid)
		return prefix[:min(len(prefix), longest-len(end))] + end
	}
	try, number := name(""), 0
	if ip6 && n[try] {
		try = name("6")
	}
	for n[try] {
		number++
		try = name(fmt.Sprint(number))
	}
	n[try] = true
	return try
}

// resolveDevices names the devices of use_vmac, use_vmac_addr and use_ipvlan, and puts
// addresses on them. Those of an instance with use_ipvlan stay on its interface, as in
// keepalived, unless they name the device.
func resolveDevices(g *Global, instances []VRRPInstance) {
	names := deviceNames{}
	for _, i := range instances {
		names[i.Interface] = true
		names[i.VMAC.Name], names[i.IPVLAN.Name] = true, true
	}
	for n := range instances {
		if i := &instances[n]; i.Interface != "" {
			i.nameDevices(g, names)
		}
	}
}

func (i *VRRPInstance) nameDevices(g *Global, names deviceNames) {
	if i.VMAC.On && i.VMAC.Name == "" {
		i.VMAC.Name = names.free(g.VMACPrefix, i.VRID, i.IPv6())
	}
	if i.IPVLAN.On && i.IPVLAN.Name == "" {
		i.IPVLAN.Name = names.free(g.VMACPrefix, i.VRID, i.IPv6())
	}
	type place struct {
		base string
		ip6  bool
	}
	over, family := map[place]string{}, i.IPv6()
	put := func(list []VIP) {
		for n := range list {
			a := &list[n]
			at := place{a.Device, a.Prefix.Addr().Is6()}
			switch own := a.Device == i.Interface && at.ip6 == family; {
			case own && i.VMAC.On:
				a.Device, a.Base = i.VMAC.Name, i.Interface
				continue
			case i.IPVLAN.On && a.Device == i.IPVLAN.Name:
				a.Base = i.Interface
				continue
			case own && !a.VMAC, !a.VMAC && !i.VMACAddr:
				continue
			}
			if over[at] == "" {
				over[at] = names.free(g.VMACAddrPrefix, i.VRID, at.ip6)
			}
			a.Base, a.Device = a.Device, over[at]
		}
	}
	put(i.VIPs)
	put(i.Excluded)
}

// checkVMACs refuses an instance whose Ethernet address is another one's on an interface: the
// kernel has each only once there.
func checkVMACs(r *reader, raw []*rawInstance, instances []VRRPInstance) {
	type place struct{ base, mac string }
	first := map[place]string{}
	for n := range instances {
		i := &instances[n]
		for _, v := range i.OwnDevices() {
			if v.Ipvlan != "" {
				continue
			}
			at := place{v.Base, v.MAC.String()}
			if other, taken := first[at]; taken && other != i.Name {
				r.errorAt(raw[n].head.All(), fmt.Sprintf("%s has the Ethernet address %s on %s, which vrrp_instance %s has there", raw[n].head.Title(), v.MAC, v.Base, other),
					"give it another virtual_router_id, or another MAC behind use_vmac")
				break
			}
			first[at] = i.Name
		}
	}
}

// checkIpvlans warns of an ipvlan device whose mode is not that of the first one over its interface:
// the kernel has one mode for all of them, that of the last one that was made (ipvlan_link_new in
// drivers/net/ipvlan/ipvlan_main.c sets the flags of the port).
func checkIpvlans(r *reader, raw []*rawInstance) {
	first := map[string]*rawInstance{}
	for _, i := range raw {
		if !i.IPVLAN.On || i.Interface == "" {
			continue
		}
		before := first[i.Interface]
		if before == nil {
			first[i.Interface] = i
			continue
		}
		if i.IPVLAN.Mode != before.IPVLAN.Mode {
			r.warnAt(i.PlaceOf("use_ipvlan"), "ipvlan-modes",
				fmt.Sprintf("the ipvlan device is in mode %s, and that of vrrp_instance %s in mode %s: on %s the kernel has one mode for both, that of the last one",
					i.IPVLAN.Mode, text.Shorten(before.Name), before.IPVLAN.Mode, text.Shorten(i.Interface)),
				"give both the same mode", "first given at "+before.PlaceOf("use_ipvlan").String())
		}
	}
}
