package netlnk

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// quiet are the kinds of devices by which no packet comes in: they have no other end, or
// they show copies of packets, or stand for devices that have them first.
var quiet = []string{"dummy", "ifb", "nlmon", "vrf", "vcan", "vxcan"}

// takers are the kinds of masters that take what a port receives, and receive it
// themselves. The master of a VRF does not: there the port is where the packet comes in.
var takers = []string{"bridge", "bond", "team", "openvswitch"}

// ClientDevices names the devices by which packets to this machine can come in: those that
// are up, have an address, and are no port of another device. Lo is not among them. Trunks are
// the indexes of the devices on which VLANs have devices of their own.
func ClientDevices() (names []string, trunks map[int]bool, err error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, nil, fmt.Errorf("list devices: %w", err)
	}
	addresses, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses: %w", err)
	}
	kinds, addressed := map[int]string{}, map[int]bool{}
	for _, l := range links {
		kinds[l.Attrs().Index] = l.Type()
	}
	for _, a := range addresses {
		addressed[a.LinkIndex] = true
	}
	trunks = map[int]bool{}
	for _, l := range links {
		a := l.Attrs()
		if l.Type() == "vlan" {
			trunks[a.ParentIndex] = true
		}
		served := len(macOf(a)) == 6 || layer3(a)
		if a.RawFlags&unix.IFF_UP == 0 || a.RawFlags&unix.IFF_LOOPBACK != 0 || !served || !addressed[a.Index] ||
			slices.Contains(quiet, l.Type()) || slices.Contains(takers, kinds[a.MasterIndex]) {
			continue
		}
		names = append(names, a.Name)
	}
	return names, trunks, nil
}
