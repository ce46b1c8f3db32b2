// Package vmac keeps the devices that VRRP instances have over their interfaces. Those of use_vmac
// have an Ethernet address of their own: they are macvlan devices in private mode, with the address
// 00:00:5e:00:01:VRID, or 02 for IPv6 (RFC 9568 section 7.3). Those of use_ipvlan have an IP
// address of their own and the interface's Ethernet address.
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
	"strings"

	"weir/internal/netlnk"
)

// Device is a device that an instance needs.
type Device struct {
	Name, Base string
	// MAC is that of a macvlan device; an ipvlan device has its base's.
	MAC net.HardwareAddr
	// Ipvlan is the mode of an ipvlan device; empty is a macvlan device.
	Ipvlan string
	// Addr is the address of an ipvlan device; invalid is none.
	Addr netip.Prefix
	// Group is the group of devices that it is in; nil is the base's.
	Group *int
	// Notify has the kernel report the base once the device is there.
	Notify bool
	// IPv4 says that IPv4 addresses come on it, IPv6 that IPv6 ones do.
	IPv4, IPv6 bool
	// Speaks says that IPv6 advertisements leave by a macvlan device, which takes a link-local
	// address: Source, or the base's where it is invalid.
	Speaks bool
	Source netip.Addr
}

// kind is the kernel's word for the device, and the keyword that asks for it.
func (d Device) kind() (kind, keyword string) {
	if d.Ipvlan != "" {
		return "ipvlan", "use_ipvlan"
	}
	return "macvlan", "use_vmac"
}

// Unmade is the error of a device that could not be made or set up.
type Unmade struct {
	Device string
	Err    error
}

func (e *Unmade) Error() string { return e.Err.Error() }

func (e *Unmade) Unwrap() error { return e.Err }

// UnmadeOf are the devices that an error of Make is about, with why.
func UnmadeOf(err error) map[string]error {
	unmade := map[string]error{}
	if list, many := err.(interface{ Unwrap() []error }); many {
		for _, one := range list.Unwrap() {
			if e := (*Unmade)(nil); errors.As(one, &e) {
				unmade[e.Device] = e.Err
			}
		}
	}
	return unmade
}

// Kernel is the devices of the calling thread's network namespace.
type Kernel struct{}

// Make has these devices be there and be up. One whose base does not exist is left out: whoever
// needs it says so. The error joins an Unmade of each that could not be made or set up, which
// wraps netlnk.ErrNoKind where the kernel has none of its kind.
func (Kernel) Make(wanted []Device) error {
	if len(wanted) == 0 {
		return nil
	}
	have, err := netlnk.Uppers()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range wanted {
		if err := makeOne(d, &have); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			errs = append(errs, &Unmade{d.Name, err})
		}
	}
	return errors.Join(errs...)
}

// makeOne makes one device, and adds it to those that there are.
func makeOne(d Device, have *[]netlnk.Upper) error {
	u, was := netlnk.Upper{Name: d.Name, Base: d.Base}, former{}
	if d.needsSysctls() {
		var err error
		if was, err = formerOf(d.Base, *have); err != nil {
			return err
		}
	}
	u.Alias = was.alias()
	err := d.make(u)
	if errors.Is(err, netlnk.ErrNoKind) {
		kind, keyword := d.kind()
		return fmt.Errorf("%w: load the kernel's module %s (modprobe %s), which CONFIG_%s makes, or take out %s", err, kind, kind, strings.ToUpper(kind), keyword)
	}
	if err != nil {
		return err
	}
	*have = append(slices.DeleteFunc(*have, func(o netlnk.Upper) bool { return o.Name == u.Name }), u)
	if err := d.setUp(); err != nil {
		return fmt.Errorf("set up %s: %w", d.Name, err)
	}
	return nil
}

// make has the kernel make the device, or change it.
func (d Device) make(u netlnk.Upper) error {
	if d.Ipvlan != "" {
		return netlnk.MakeIpvlan(netlnk.Ipvlan{Upper: u, Mode: d.Ipvlan, Group: d.Group})
	}
	_, err := netlnk.MakeMacvlan(netlnk.Macvlan{Upper: u, MAC: d.MAC, Group: d.Group, Notify: d.Notify})
	return err
}

// needsSysctls says whether the device and its base are told who answers ARP. Beside an ipvlan
// device either may: both have one Ethernet address.
func (d Device) needsSysctls() bool { return d.IPv4 && d.Ipvlan == "" }

// setUp sets what the device and its base need beside each other, and switches the device on.
func (d Device) setUp() error {
	if d.needsSysctls() {
		if err := setSysctls(d.Name, d.Base); err != nil {
			return err
		}
	}
	if err := errors.Join(netlnk.SetIPv6(d.Name, d.IPv6), netlnk.SetUp(d.Name)); err != nil {
		return err
	}
	if d.Addr.IsValid() {
		// Of IPv6 it is deprecated, as in keepalived: nothing else is sent from it.
		_, err := netlnk.AddVIP(d.Name, d.Addr, 0, netlnk.AddressOptions{Source: true})
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
		mac := d.MAC
		if d.Ipvlan != "" {
			mac = base.MAC
		}
		if err != nil || !bytes.Equal(l.MAC, mac) || base.Up && !l.Up {
			return true
		}
		source := d.Source
		if d.Speaks && !source.IsValid() {
			source = linkLocal(p.Addresses(d.Base))
		}
		for _, needed := range []netip.Addr{source, d.Addr.Addr()} {
			if needed.IsValid() && !slices.ContainsFunc(p.Addresses(d.Name), func(a netlnk.Address) bool { return a.Prefix.Addr() == needed }) {
				return true
			}
		}
		return false
	})
}

// removeOldSources removes the addresses that an ipvlan device had before.
func (d Device) removeOldSources() error {
	list, err := netlnk.ListAddresses(d.Name)
	if errors.Is(err, netlnk.ErrNoDevice) {
		return nil
	}
	for _, a := range list {
		if a.AddedBy == netlnk.AddedAsSource && a.Prefix != d.Addr {
			_, failed := netlnk.DelAddress(d.Name, a.Prefix)
			err = errors.Join(err, failed)
		}
	}
	return err
}

// RemoveOthers removes the devices that weir has made, but for these, and names them, and the
// addresses that these had before. What the interfaces below were set to before is put back where
// no device of weir's needs it any more.
func (Kernel) RemoveOthers(wanted []Device) (removed []string, err error) {
	have, err := netlnk.Uppers()
	if err != nil {
		return nil, err
	}
	var stay, leave []netlnk.Upper
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
	for _, d := range wanted {
		if d.Ipvlan != "" {
			errs = append(errs, d.removeOldSources())
		}
	}
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
