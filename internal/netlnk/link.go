package netlnk

import (
	"errors"
	"fmt"
	"net"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is a network device.
type Link struct {
	Index int
	Name  string
	// MAC is empty on devices without an Ethernet address.
	MAC net.HardwareAddr
	// Layer3 says that packets on the device have no link-layer header, as with tun,
	// wireguard, ipip and ppp: they begin with the IP header.
	Layer3 bool
	// MTU is in bytes, without the Ethernet header.
	MTU int
	// Up says that the device is administratively up and has a carrier.
	Up bool
	// Master is the index of the device of which this one is a port; 0 where it is none.
	Master int
	// Driver is the name of the kernel's driver; empty where there is none (lo).
	Driver string
	// Kind is the rtnetlink kind, such as "veth" or "bridge"; "device" is hardware.
	Kind string
}

// LinkByName finds a device; the error wraps ErrNoDevice when there is none.
func LinkByName(name string) (Link, error) {
	l, err := linkByName(name)
	if err != nil {
		return Link{}, err
	}
	return withDriver(l), nil
}

// LinkByIndex finds a device by its index; the error wraps ErrNoDevice when there is none.
func LinkByIndex(index int) (Link, error) {
	l, err := netlink.LinkByIndex(index)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return Link{}, fmt.Errorf("device %d: %w", index, ErrNoDevice)
	}
	if err != nil {
		return Link{}, fmt.Errorf("look up device %d: %w", index, err)
	}
	return withDriver(l), nil
}

// Links lists all devices, in the kernel's order.
func Links() ([]Link, error) { return links(withDriver) }

func links(describe func(netlink.Link) Link) ([]Link, error) {
	all, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	links := make([]Link, 0, len(all))
	for _, l := range all {
		links = append(links, describe(l))
	}
	return links, nil
}

// SetUp sets a device administratively up.
func SetUp(dev string) error {
	l, err := linkByName(dev)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("switch on %s: %w", dev, err)
	}
	return nil
}

func linkByName(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if err == nil {
		return l, nil
	}
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("device %q: %w", name, ErrNoDevice)
	}
	return nil, fmt.Errorf("look up device %q: %w", name, err)
}

// linkIndex is the index of the device with this name. It does not ask for the rest of
// what the kernel knows of the device, which takes ten times as long.
func linkIndex(name string) (int, error) {
	if ifr, err := unix.NewIfreq(name); err == nil {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("look up device %q: %w", name, err)
		}
		defer unix.Close(fd)
		if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) == nil {
			return int(ifr.Uint32()), nil
		}
	}
	l, err := linkByName(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, nil
}

func withDriver(l netlink.Link) Link {
	all := describe(l)
	all.Driver = driver(all.Name)
	return all
}

// describe is all of a Link but its driver.
func describe(l netlink.Link) Link {
	a := l.Attrs()
	// IFF_LOWER_UP follows the carrier at once, IFF_RUNNING follows the operational
	// state (RFC 2863) with a delay: a lost carrier shows in the former first.
	const up = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	d := Link{
		Index:  a.Index,
		Name:   a.Name,
		MAC:    macOf(a),
		Layer3: layer3(a),
		MTU:    a.MTU,
		Up:     a.RawFlags&up == up,
		Master: a.MasterIndex,
		Kind:   l.Type(),
	}
	if d.Layer3 { // it may be the local address of a tunnel
		d.MAC = nil
	}
	return d
}

// macOf is a device's address. The library has none where all of its bytes are zero, as those
// of a bridge or a bond that has no port yet, which is Ethernet all the same.
func macOf(a *netlink.LinkAttrs) net.HardwareAddr {
	if len(a.HardwareAddr) == 0 && a.EncapType == "ether" {
		return make(net.HardwareAddr, 6)
	}
	return a.HardwareAddr
}

// layer3 says whether packets on a device begin with the IP header
// (dev_is_mac_header_xmit, include/linux/if_arp.h).
func layer3(l *netlink.LinkAttrs) bool {
	switch l.EncapType {
	case "none", "ppp", "ipip", "tunnel6", "sit", "gre", "void",
		"unknown519", // ARPHRD_RAWIP
		"unknown823": // ARPHRD_IP6GRE
		return true
	}
	return false
}

// driver asks the kernel by the ioctl SIOCETHTOOL. It is empty for a device without a
// driver (lo) and for one that was removed meanwhile.
func driver(dev string) string {
	name, err := ethtool.DriverName(dev)
	if err != nil {
		return ""
	}
	return name
}
