// Package vmac keeps the devices by which VRRP instances have an Ethernet address of their own
// (use_vmac): a macvlan device in private mode over an instance's interface, with the address
// 00:00:5e:00:01:VRID, or 02 for IPv6 (RFC 9568 section 7.3).
//
// A device carries an alias (ip link: alias) that says whose it is, and what the interface
// below was set to before. So a process finds what one before it has made, however that
// ended: it goes on with what is still wanted, and removes the rest.
package vmac

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Device is a device that an instance needs.
type Device struct {
	Name, Base string
	MAC        net.HardwareAddr
	// Group is the group of devices that it is in; nil is the base's.
	Group *int
	// Notify has the kernel report the base once the device is there.
	Notify bool
	// IPv4 says that IPv4 addresses come on it, IPv6 that IPv6 ones do.
	IPv4, IPv6 bool
	// Speaks says that IPv6 advertisements leave by it, which takes a link-local address:
	// Source, or the base's where it is invalid.
	Speaks bool
	Source netip.Addr
}

// Kernel is the devices of the calling thread's network namespace.
type Kernel struct{}

// Make has these devices be there and be up. One whose base does not exist is left out: whoever
// needs it says so. The error is of those that could not be made or set up.
func (Kernel) Make(wanted []Device) error {
	if len(wanted) == 0 {
		return nil
	}
	have, err := netlnk.Macvlans()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range wanted {
		if err := makeOne(d, &have); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// makeOne makes one device, and adds it to those that there are.
func makeOne(d Device, have *[]netlnk.Macvlan) error {
	m := netlnk.Macvlan{Name: d.Name, Base: d.Base, MAC: d.MAC, Group: d.Group, Notify: d.Notify}
	was := former{}
	if d.IPv4 {
		var err error
		if was, err = formerOf(d.Base, *have); err != nil {
			return err
		}
	}
	m.Alias = was.alias()
	_, err := netlnk.MakeMacvlan(m)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: this kernel has no macvlan (CONFIG_MACVLAN): load its module, or take out use_vmac", err)
	}
	if err != nil {
		return err
	}
	*have = append(slices.DeleteFunc(*have, func(o netlnk.Macvlan) bool { return o.Name == m.Name }), m)
	if err := d.setUp(); err != nil {
		return fmt.Errorf("set up %s: %w", d.Name, err)
	}
	return nil
}

// setUp sets what the device and its base need beside each other, and switches the device on.
func (d Device) setUp() error {
	if d.IPv4 {
		if err := setSysctls(d.Name, d.Base); err != nil {
			return err
		}
	}
	if err := errors.Join(netlnk.SetIPv6(d.Name, d.IPv6), netlnk.SetUp(d.Name)); err != nil {
		return err
	}
	if source := d.source(); source.IsValid() {
		_, err := netlnk.AddVIP(d.Name, netip.PrefixFrom(source, 64), 0, netlnk.AddressOptions{Unmarked: true})
		return err
	}
	return nil
}

// source is the link-local address that the device needs; invalid is none, or none that the
// base has yet.
func (d Device) source() netip.Addr {
	if !d.Speaks || d.Source.IsValid() {
		return d.Source
	}
	list, err := netlnk.ListAddresses(d.Base)
	if err != nil {
		return netip.Addr{}
	}
	return linkLocal(list)
}

// linkLocal is the first link-local address of a list that can be sent from and is no VIP.
func linkLocal(list []netlnk.Address) netip.Addr {
	for _, a := range list {
		if addr := a.Prefix.Addr(); addr.Is6() && addr.IsLinkLocalUnicast() && !a.Tentative && a.AddedBy != netlnk.AddedByWeir {
			return addr
		}
	}
	return netip.Addr{}
}

// Lacks says whether a machine of which this is the picture lacks some of these devices, or
// what they need, though their bases are there.
func Lacks(wanted []Device, p *netlnk.Picture) bool {
	return slices.ContainsFunc(wanted, func(d Device) bool {
		base, err := p.Link(d.Base)
		if err != nil {
			return false
		}
		l, err := p.Link(d.Name)
		if err != nil || !bytes.Equal(l.MAC, d.MAC) || base.Up && !l.Up {
			return true
		}
		if !d.Speaks {
			return false
		}
		source := d.Source
		if !source.IsValid() {
			source = linkLocal(p.Addresses(d.Base))
		}
		return source.IsValid() && !slices.ContainsFunc(p.Addresses(d.Name), func(a netlnk.Address) bool { return a.Prefix.Addr() == source })
	})
}

// RemoveOthers removes the devices that weir has made, but for these, and names them. What the
// interfaces below were set to before is put back where no device of weir's needs it any
// more.
func (Kernel) RemoveOthers(wanted []Device) (removed []string, err error) {
	have, err := netlnk.Macvlans()
	if err != nil {
		return nil, err
	}
	var stay, leave []netlnk.Macvlan
	for _, m := range have {
		if _, ours := readAlias(m.Alias); !ours {
			continue
		}
		if slices.ContainsFunc(wanted, func(d Device) bool { return d.Name == m.Name }) {
			stay = append(stay, m)
		} else {
			leave = append(leave, m)
		}
	}
	var errs []error
	for _, m := range leave {
		if err := netlnk.DeleteLink(m.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, m.Name)
		errs = append(errs, putBack(m, stay))
	}
	return removed, errors.Join(errs...)
}
