package netlnk

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Ipvlan is a device of the kernel's kind ipvlan, in mode l2: more addresses on a device that
// exists, by whose Ethernet address it speaks.
type Ipvlan struct {
	Upper
	// Mode says who hears the devices over a base: in bridge mode each other, in private mode
	// and in vepa mode only what comes back from outside. All devices over a base have the
	// mode of the last one that was made or changed.
	Mode string
	// Group is the group of devices that it is in; nil is the base's.
	Group *int
}

// ipvlanFlags are the kernel's by the modes' names.
var ipvlanFlags = map[string]netlink.IPVlanFlag{
	"bridge": netlink.IPVLAN_FLAG_BRIDGE, "private": netlink.IPVLAN_FLAG_PRIVATE, "vepa": netlink.IPVLAN_FLAG_VEPA,
}

// MakeIpvlan makes a device and leaves it down; one that is there is changed to what is wanted.
// The errors are those of MakeMacvlan.
func MakeIpvlan(i Ipvlan) error {
	base, err := linkByName(i.Base)
	if err != nil {
		return err
	}
	have, err := linkByName(i.Name)
	switch {
	case err == nil:
		return changeIpvlan(have, base, i)
	case !errors.Is(err, ErrNoDevice):
		return err
	}
	l := &netlink.IPVlan{LinkAttrs: attrsOf(i.Upper, base, i.Group), Mode: netlink.IPVLAN_MODE_L2, Flag: ipvlanFlags[i.Mode]}
	if err := addUpper(l, i.Upper); err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(l, i.Alias); err != nil {
		return errors.Join(fmt.Errorf("set up the ipvlan device %s: %w", i.Name, err), netlink.LinkDel(l))
	}
	return nil
}

// changeIpvlan makes a device that is there what is wanted.
func changeIpvlan(have, base netlink.Link, i Ipvlan) error {
	l, is := have.(*netlink.IPVlan)
	if !is || l.ParentIndex != base.Attrs().Index || l.Mode != netlink.IPVLAN_MODE_L2 {
		return fmt.Errorf("make the ipvlan device %s over %s: %w, and it is no ipvlan in mode l2 over %s", i.Name, i.Base, ErrTaken, i.Base)
	}
	var err error
	if flag := ipvlanFlags[i.Mode]; l.Flag != flag {
		err = setFlag(l.Index, flag)
	}
	if err = errors.Join(err, changeUpper(l, i.Upper, i.Group)); err != nil {
		err = fmt.Errorf("change the ipvlan device %s: %w", i.Name, err)
	}
	return err
}

// setFlag changes the flag of an ipvlan device that is in use. netlink.LinkModify would name the
// device, too, and the kernel takes that for a new name, which a device that is up cannot get.
func setFlag(index int, flag netlink.IPVlanFlag) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("ipvlan"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_IPVLAN_FLAG, nl.Uint16Attr(uint16(flag)))
	req.AddData(msg)
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
