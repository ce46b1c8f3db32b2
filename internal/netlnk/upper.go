package netlnk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Upper is a device over another one: a macvlan or an ipvlan.
type Upper struct {
	Name string
	// Base is the name of the device below; it is empty where that is in another namespace.
	Base string
	// Alias is what is written beside its name (ip link: alias), by which it is found again.
	Alias string
}

// upperKinds are the kinds of devices that Uppers lists.
var upperKinds = []string{"macvlan", "ipvlan"}

var (
	// ErrTaken says that a device has the name that another one was to have.
	ErrTaken = errors.New("another device has this name")
	// ErrNoKind says that the kernel has no devices of a kind.
	ErrNoKind = errors.New("this kernel has no devices of this kind")
)

// Uppers lists the macvlan and ipvlan devices of the calling thread's network namespace.
func Uppers() (list []Upper, err error) {
	all, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names := map[int]string{}
	for _, l := range all {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range all {
		if a := l.Attrs(); slices.Contains(upperKinds, l.Type()) {
			list = append(list, Upper{Name: a.Name, Base: names[a.ParentIndex], Alias: a.Alias})
		}
	}
	return list, nil
}

// attrsOf are the attributes of a device over this base, in this group, or in the base's where
// that is nil. It is in the base's VRF.
func attrsOf(u Upper, base netlink.Link, group *int) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = u.Name, base.Attrs().Index
	if attrs.Group = base.Attrs().Group; group != nil {
		attrs.Group = uint32(*group)
	}
	attrs.MasterIndex = vrfOf(base)
	return attrs
}

// addUpper makes a device. The error wraps ErrNoKind where the kernel has none of its kind.
func addUpper(l netlink.Link, u Upper) error {
	err := netlink.LinkAdd(l)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("make the %s device %s over %s: %w", l.Type(), u.Name, u.Base, ErrNoKind)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("make the %s device %s over %s: %w: %s is a port of another device, or has devices of another kind over it", l.Type(), u.Name, u.Base, err, u.Base)
	case err != nil:
		return fmt.Errorf("make the %s device %s over %s: %w", l.Type(), u.Name, u.Base, err)
	}
	return nil
}

// changeUpper gives a device that is there its alias and its group.
func changeUpper(l netlink.Link, u Upper, group *int) (err error) {
	if l.Attrs().Alias != u.Alias {
		err = netlink.LinkSetAlias(l, u.Alias)
	}
	if group != nil && l.Attrs().Group != uint32(*group) {
		err = errors.Join(err, netlink.LinkSetGroup(l, *group))
	}
	return err
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
