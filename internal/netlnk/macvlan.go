package netlnk

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Macvlan is a device of the kernel's kind macvlan, in private mode: a second Ethernet address
// on a device that exists.
type Macvlan struct {
	Name string
	// Base is the name of the device below.
	Base string
	MAC  net.HardwareAddr
	// Group is the group of devices that it is in; nil is the base's.
	Group *int
	// Alias is what is written beside its name (ip link: alias), by which it is found again.
	Alias string
	// Notify has the kernel report the base once it is there: on a base without a filter of
	// addresses nothing else tells that it has become promiscuous.
	Notify bool
}

// noAddress is the mode of a device that makes itself no link-local address
// (IN6_ADDR_GEN_MODE_NONE in linux/if_link.h).
const noAddress = 1

// ErrTaken says that a device has the name that another one was to have.
var ErrTaken = errors.New("another device has this name")

// MakeMacvlan makes a device and leaves it down, without an IPv6 address of its own making; one
// that is there is changed to what is wanted. Made is false where it was there as it is to
// be. The error wraps ErrNoDevice where there is no base, ErrTaken where the name is that of a
// device of another kind or over another base, and unix.EOPNOTSUPP where the kernel has no
// macvlan.
func MakeMacvlan(m Macvlan) (made bool, err error) {
	base, err := linkByName(m.Base)
	if err != nil {
		return false, err
	}
	have, err := linkByName(m.Name)
	switch {
	case err == nil:
		return changeMacvlan(have, base, m)
	case !errors.Is(err, ErrNoDevice):
		return false, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = m.Name, base.Attrs().Index, m.MAC
	if attrs.Group = base.Attrs().Group; m.Group != nil {
		attrs.Group = uint32(*m.Group)
	}
	attrs.MasterIndex = vrfOf(base)
	l := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE}
	if err := netlink.LinkAdd(l); err != nil {
		return false, fmt.Errorf("make the macvlan device %s over %s: %w", m.Name, m.Base, err)
	}
	err = errors.Join(netlink.LinkSetAlias(l, m.Alias), noOwnIPv6(l))
	if err != nil {
		return true, errors.Join(fmt.Errorf("set up the macvlan device %s: %w", m.Name, err), netlink.LinkDel(l))
	}
	if m.Notify {
		err = netlink.LinkSetGroup(base, int(base.Attrs().Group))
	}
	return true, err
}

// vrfOf is the index of the VRF that a device is in; 0 is none.
func vrfOf(l netlink.Link) int {
	if l.Attrs().MasterIndex == 0 {
		return 0
	}
	if master, err := netlink.LinkByIndex(l.Attrs().MasterIndex); err == nil && master.Type() == "vrf" {
		return l.Attrs().MasterIndex
	}
	return 0
}

// noOwnIPv6 keeps a device from making itself a link-local address. A kernel without IPv6 makes
// none.
func noOwnIPv6(l netlink.Link) error {
	err := netlink.LinkSetIP6AddrGenMode(l, noAddress)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// changeMacvlan makes a device that is there what is wanted.
func changeMacvlan(have, base netlink.Link, m Macvlan) (changed bool, err error) {
	l, is := have.(*netlink.Macvlan)
	if !is || l.ParentIndex != base.Attrs().Index || l.Mode != netlink.MACVLAN_MODE_PRIVATE {
		return false, fmt.Errorf("make the macvlan device %s over %s: %w, and it is no private macvlan over %s", m.Name, m.Base, ErrTaken, m.Base)
	}
	if !bytes.Equal(l.HardwareAddr, m.MAC) {
		// An address is not changed while it is used.
		changed, err = true, errors.Join(netlink.LinkSetDown(l), netlink.LinkSetHardwareAddr(l, m.MAC))
	}
	if l.Alias != m.Alias {
		err = errors.Join(err, netlink.LinkSetAlias(l, m.Alias))
	}
	if group := m.Group; group != nil && l.Group != uint32(*group) {
		err = errors.Join(err, netlink.LinkSetGroup(l, *group))
	}
	if err = errors.Join(err, noOwnIPv6(l)); err != nil {
		err = fmt.Errorf("change the macvlan device %s: %w", m.Name, err)
	}
	return changed, err
}

// Macvlans lists the macvlan devices of the calling thread's network namespace. Base is empty
// where the device below is in another namespace.
func Macvlans() (list []Macvlan, err error) {
	all, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names := map[int]string{}
	for _, l := range all {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range all {
		if l.Type() == "macvlan" {
			a := l.Attrs()
			list = append(list, Macvlan{Name: a.Name, Base: names[a.ParentIndex], MAC: a.HardwareAddr, Alias: a.Alias})
		}
	}
	return list, nil
}

// DeleteLink deletes a device; one that is not there is no error.
func DeleteLink(name string) error {
	l, err := linkByName(name)
	if errors.Is(err, ErrNoDevice) {
		return nil
	}
	if err != nil {
		return err
	}
	var missing netlink.LinkNotFoundError
	if err := netlink.LinkDel(l); err != nil && !errors.As(err, &missing) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete device %s: %w", name, err)
	}
	return nil
}

// SetIPv6 switches IPv6 on a device on or off (net.ipv6.conf.DEV.disable_ipv6), and has it ask
// no router for addresses. Without IPv6 in the kernel there is nothing to switch.
func SetIPv6(dev string, on bool) error {
	off := "1"
	if on {
		off = "0"
	}
	for _, s := range []struct{ name, value string }{{"disable_ipv6", off}, {"router_solicitations", "0"}} {
		path := filepath.Join("/proc/sys/net/ipv6/conf", filepath.Base(dev), s.name)
		if err := os.WriteFile(path, []byte(s.value), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set sysctl net.ipv6.conf.%s.%s: %w", dev, s.name, err)
		}
	}
	return nil
}
