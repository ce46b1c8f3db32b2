package netlnk

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Macvlan is a device of the kernel's kind macvlan, in private mode: a second Ethernet address
// on a device that exists.
type Macvlan struct {
	Upper
	MAC net.HardwareAddr
	// Group is the group of devices that it is in; nil is the base's.
	Group *int
	// Notify has the kernel report the base once it is there: on a base without a filter of
	// addresses nothing else tells that it has become promiscuous.
	Notify bool
}

// noAddress is the mode of a device that makes itself no link-local address
// (IN6_ADDR_GEN_MODE_NONE in linux/if_link.h).
const noAddress = 1

// MakeMacvlan makes a device and leaves it down, without an IPv6 address of its own making; one
// that is there is changed to what is wanted. Made is false where it was there as it is to
// be. The error wraps ErrNoDevice where there is no base, ErrTaken where the name is that of a
// device of another kind or over another base, and ErrNoKind where the kernel has no macvlan.
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
	attrs := attrsOf(m.Upper, base, m.Group)
	attrs.HardwareAddr = m.MAC
	l := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE}
	if err := addUpper(l, m.Upper); err != nil {
		return false, err
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
	if err = errors.Join(err, changeUpper(l, m.Upper, m.Group), noOwnIPv6(l)); err != nil {
		err = fmt.Errorf("change the macvlan device %s: %w", m.Name, err)
	}
	return changed, err
}
