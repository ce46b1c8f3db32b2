package netlnk

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Addresses lists a device's addresses, each with its prefix length, in the
// kernel's order.
func Addresses(dev string) ([]netip.Prefix, error) {
	l, err := linkByName(dev)
	if err != nil {
		return nil, err
	}
	all, err := addrList(l)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", dev, err)
	}
	var prefixes []netip.Prefix
	for _, a := range all {
		if p, ok := prefixOf(a); ok {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes, nil
}

// AddressesOf is Addresses for a device's index.
func AddressesOf(index int) ([]netip.Prefix, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, fmt.Errorf("device %d: %w", index, err)
	}
	return Addresses(l.Attrs().Name)
}

// AddAddress adds an address to a device; changed is false where the device already had
// it. IPv6 addresses are added without duplicate address detection, loopback addresses
// with host scope.
func AddAddress(dev string, p netip.Prefix) (changed bool, err error) {
	l, err := linkByName(dev)
	if err != nil {
		return false, err
	}
	a := ipNet(p)
	if p.Addr().Is6() {
		// A VIP must be usable at once, and may still be on another director for a
		// moment, so that the detection would fail.
		a.Flags = unix.IFA_F_NODAD
	}
	err = netlink.AddrAdd(l, a)
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, notAdded(dev, p, err)
	}
	return true, nil
}

// notAdded is why an address was not added to a device. The kernel permits no IPv6 address where
// IPv6 is switched off.
func notAdded(dev string, p netip.Prefix, err error) error {
	if errors.Is(err, unix.EACCES) && p.Addr().Is6() {
		err = fmt.Errorf("%w: IPv6 is switched off there (sysctl net.ipv6.conf.%s.disable_ipv6)", err, dev)
	}
	return fmt.Errorf("add %s to %s: %w", p, dev, err)
}

// DelAddress removes an address from a device; changed is false where the device did not
// have it.
func DelAddress(dev string, p netip.Prefix) (changed bool, err error) {
	index, err := linkIndex(dev)
	if err != nil {
		return false, err
	}
	err = netlink.AddrDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}, ipNet(p))
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return delPeerAddress(dev, index, p)
	}
	if err != nil {
		return false, fmt.Errorf("remove %s from %s: %w", p, dev, err)
	}
	return true, nil
}

// delPeerAddress removes an IPv4 address that has a peer, by which the kernel would have to be
// told it, too.
func delPeerAddress(dev string, index int, p netip.Prefix) (changed bool, err error) {
	if has, err := HasAddress(dev, p); err != nil || !has {
		return false, nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	req.AddData(addressHeader(index, p))
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	if _, err = req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return false, fmt.Errorf("remove %s from %s: %w", p, dev, err)
	}
	return true, nil
}

// HasAddress says whether the device has this address with exactly this prefix length.
func HasAddress(dev string, p netip.Prefix) (bool, error) {
	all, err := Addresses(dev)
	return slices.Contains(all, p), err
}

// LocalAddr says whether any device of this machine has the address, whatever its scope.
// An address with a zone is looked for on that device only.
func LocalAddr(addr netip.Addr) (bool, error) {
	holders, err := Holders(addr.WithZone(""))
	if err != nil || addr.Zone() == "" {
		return len(holders) > 0, err
	}
	return slices.ContainsFunc(holders, func(h Holder) bool { return h.Dev == addr.Zone() }), nil
}

// Holder is a device that has an address.
type Holder struct {
	Dev    string
	Prefix netip.Prefix
}

// Holders lists the devices that have the address.
func Holders(addr netip.Addr) ([]Holder, error) {
	all, err := AllHolders()
	return slices.DeleteFunc(all, func(h Holder) bool { return h.Prefix.Addr() != addr }), err
}

// AllHolders lists every address of every device, in the kernel's order.
func AllHolders() ([]Holder, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	all, err := addrList(nil)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var holders []Holder
	for _, a := range all {
		if p, ok := prefixOf(a); ok {
			holders = append(holders, Holder{Dev: names[a.LinkIndex], Prefix: p})
		}
	}
	return holders, nil
}

func addrList(l netlink.Link) ([]netlink.Addr, error) {
	return dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_ALL) })
}

func prefixOf(a netlink.Addr) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, _ := a.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), true
}

func ipNet(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if p.Addr().IsLoopback() {
		// With another scope the kernel could use it as the source of packets that leave
		// the machine.
		a.Scope = unix.RT_SCOPE_HOST
	}
	return a
}
