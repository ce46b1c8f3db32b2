package netlnk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Who has added an address (IFA_PROTO in linux/if_addr.h, since Linux 5.18). The kernel
// keeps it with the address, so that it outlives the process.
const (
	// AddedByWeir marks VIPs that AddVIP has added; the number is the ASCII code of w.
	AddedByWeir = 0x77
	// AddedAsSource marks those from which adverts are sent, on devices of weir's; the number is
	// the ASCII code of s. They are the machine's own as long as the devices are.
	AddedAsSource = 0x73
	// addedByKeepalived is what newer versions of keepalived set: RTPROT_KEEPALIVED.
	addedByKeepalived = 18
)

const ifaProto = 11 // IFA_PROTO in linux/if_addr.h

// PreferredForever is the preferred lifetime of an address that is never deprecated
// (INFINITY_LIFE_TIME in net/addrconf.h).
const PreferredForever = math.MaxUint32

// Address is an address that a device has.
type Address struct {
	Dev    string
	Prefix netip.Prefix
	// AddedBy is AddedByWeir, or another program's number; 0 where nobody has said so.
	AddedBy uint8
	// Deprecated says that the kernel takes the address as the source of a new flow only
	// where the device has no other (RFC 6724 section 5, rule 3). It is for IPv6 alone.
	Deprecated bool
	// Tentative says that the kernel does not know yet whether an IPv6 address is another
	// machine's, or knows that it is, so that nothing can be sent from it.
	Tentative bool
	// Temporary is an IPv6 address that the kernel replaces by another one after some time
	// (RFC 8981), and Dynamic one that has a lifetime, as those of router advertisements and
	// DHCPv6 do.
	Temporary, Dynamic bool
	// Secondary is an IPv4 address that came after another one of its network.
	Secondary bool
}

// ListAddresses lists a device's addresses, or those of all devices where dev is empty, in
// the kernel's order. The error wraps ErrNoDevice when there is no such device.
func ListAddresses(dev string) (list []Address, err error) {
	names := map[int]string{}
	if dev == "" {
		links, err := links(describe)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			names[l.Index] = l.Name
		}
	} else {
		l, err := LinkByName(dev)
		if err != nil {
			return nil, err
		}
		names[l.Index] = dev
	}
	if list, err = addressesOf(names); err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", dev, err)
	}
	return list, nil
}

// addressesOf lists the addresses of devices, whose names are by their indexes.
func addressesOf(names map[int]string) (list []Address, err error) {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		index, a, ok := parseAddress(m)
		if name, wanted := names[index]; ok && wanted {
			a.Dev = name
			list = append(list, a)
		}
	}
	return list, nil
}

// parseAddress reads an RTM_NEWADDR message: the device's index, and the address without
// the device's name.
func parseAddress(m []byte) (index int, a Address, ok bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, a, false
	}
	msg := nl.DeserializeIfAddrmsg(m)
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, a, false
	}
	flags := uint32(msg.Flags)
	var local, address netip.Addr
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_LOCAL: // with a peer's address, IFA_ADDRESS is the peer's
			local, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_FLAGS:
			flags = binary.NativeEndian.Uint32(attr.Value)
		case ifaProto:
			a.AddedBy = attr.Value[0]
		}
	}
	if !local.IsValid() {
		local = address
	}
	a.Prefix = netip.PrefixFrom(local, int(msg.Prefixlen))
	a.Deprecated = local.Is6() && flags&unix.IFA_F_DEPRECATED != 0
	a.Tentative = local.Is6() && flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	a.Secondary = local.Is4() && flags&unix.IFA_F_SECONDARY != 0 // of IPv6 the bit is IFA_F_TEMPORARY
	a.Temporary = local.Is6() && flags&unix.IFA_F_TEMPORARY != 0
	a.Dynamic = local.Is6() && flags&unix.IFA_F_PERMANENT == 0
	return int(msg.Index), a, local.IsValid()
}

// AddVIP adds an address that weir removes again to a device, and marks it as
// AddedByWeir. Preferred is in seconds: an IPv6 address is deprecated when that time is
// over, with 0 at once, with PreferredForever never; it means nothing for IPv4. Changed is
// false where the device already had the address; then its mark and its options stay as they
// are, and only its preferred lifetime is set, where whether it is deprecated differs. An
// IPv4 address gets no route to its network where the device has an own address of a larger
// one around it: the address would be the source of what this machine sends there. The error
// wraps ErrNoDevice when there is no such device.
func AddVIP(dev string, p netip.Prefix, preferred uint32, o AddressOptions) (changed bool, err error) {
	index, err := linkIndex(dev)
	if err != nil {
		return false, err
	}
	addedBy := uint8(AddedByWeir)
	switch {
	case o.Unmarked:
		addedBy = 0
	case o.Source:
		addedBy = AddedAsSource
	}
	if !o.NoPrefixRoute && addedBy == AddedByWeir && !o.Peer.IsValid() {
		if o.NoPrefixRoute, err = covered(index, p); err != nil {
			return false, fmt.Errorf("add %s to %s: %w", p, dev, err)
		}
	}
	err = setAddress(index, p, preferred, addedBy, o, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	if errors.Is(err, unix.EEXIST) {
		err = nil
		if p.Addr().Is6() {
			err = deprecate(index, p, preferred, o)
		}
	} else if err == nil {
		return true, nil
	}
	if err != nil {
		return false, notAdded(dev, p, err)
	}
	return false, nil
}

// deprecate sets the preferred lifetime of an IPv6 address that the device has, unless it
// is deprecated, or not, as it is to be.
func deprecate(index int, p netip.Prefix, preferred uint32, o AddressOptions) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, 0)
	req.AddData(addressHeader(index, p))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, p.Addr().AsSlice()))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if _, a, ok := parseAddress(m); ok && a.Deprecated != (preferred == 0) {
			return setAddress(index, p, preferred, a.AddedBy, o, unix.NLM_F_REPLACE)
		}
	}
	return nil
}

// setAddress adds or changes an address. IPv6 addresses are added without duplicate
// address detection: a VIP must be usable at once, and may still be on another director
// for a moment, so that the detection would fail.
func setAddress(index int, p netip.Prefix, preferred uint32, addedBy uint8, o AddressOptions, flags int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWADDR, flags|unix.NLM_F_ACK)
	header, peer := addressHeader(index, p), p.Addr()
	if o.Peer.IsValid() {
		peer = o.Peer
	}
	req.AddData(header)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, peer.AsSlice()))
	if addedBy != 0 {
		req.AddData(nl.NewRtAttr(ifaProto, []byte{addedBy}))
	}
	if all := o.flags(p.Addr().Is6()); all != 0 {
		header.Flags = uint8(all)
		req.AddData(attr32(unix.IFA_FLAGS, all))
	}
	if p.Addr().Is6() {
		lifetimes := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: math.MaxUint32, Prefered: preferred}}
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, lifetimes.Serialize()))
	} else if err := o.add4(req, header, p); err != nil {
		return err
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// add4 adds to a request what an IPv4 address alone has.
func (o AddressOptions) add4(req *nl.NetlinkRequest, header *nl.IfAddrmsg, p netip.Prefix) error {
	all, err := o.broadcast(p)
	if err != nil {
		return err
	}
	if all.IsValid() {
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, all.AsSlice()))
	}
	if o.Label != "" {
		req.AddData(nl.NewRtAttr(unix.IFA_LABEL, append([]byte(o.Label), 0)))
	}
	if o.Scope != "" {
		header.Scope, err = scopeOf(o.Scope)
	}
	return err
}

func addressHeader(index int, p netip.Prefix) *nl.IfAddrmsg {
	family := unix.AF_INET
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	h := nl.NewIfAddrmsg(family)
	h.Index, h.Prefixlen = uint32(index), uint8(p.Bits())
	return h
}
