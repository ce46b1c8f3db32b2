package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkEnd is one end of a cable: an interface in a namespace. A nil MAC lets
// the kernel choose one, another at each creation.
type LinkEnd struct {
	Namespace *Namespace
	Name      string
	MAC       net.HardwareAddr
}

// Connect joins two interfaces as a cable does (a veth pair). Both are created
// in their namespaces under their final names, and are still down.
func Connect(a, b LinkEnd) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Name
	attrs.HardwareAddr = a.MAC
	veth := netlink.NewVeth(attrs)
	veth.PeerName = b.Name
	veth.PeerHardwareAddr = b.MAC
	veth.PeerNamespace = netlink.NsFd(b.Namespace.file.Fd())
	if err := a.Namespace.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("connect %s in %s with %s in %s: %w", a.Name, a.Namespace.Name, b.Name, b.Namespace.Name, err)
	}
	return nil
}

// AddBridge makes a switch: a bridge without spanning tree, so that a port
// forwards as soon as it is up, and brings it up.
func (n *Namespace) AddBridge(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := n.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("add bridge %s in %s: %w", name, n.Name, err)
	}
	return n.SetUp(name)
}

// AddPort puts an interface on a bridge and brings it up.
func (n *Namespace) AddPort(bridge, port string) error {
	master, err := n.link(bridge)
	if err != nil {
		return err
	}
	link, err := n.link(port)
	if err != nil {
		return err
	}
	if err := n.handle.LinkSetMaster(link, master); err != nil {
		return fmt.Errorf("put %s on %s in %s: %w", port, bridge, n.Name, err)
	}
	return n.SetUp(port)
}

func (n *Namespace) link(name string) (netlink.Link, error) {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find link %s in %s: %w", name, n.Name, err)
	}
	return link, nil
}

// SetUp brings a link up.
func (n *Namespace) SetUp(name string) error { return n.setState(name, n.handle.LinkSetUp, "up") }

// carrierTimeout bounds the wait for a carrier.
const carrierTimeout = time.Minute

// waitCarrier waits until the kernel has seen the carrier of a link that is up at both ends. Before,
// a bridge does not forward from it or to it: the kernel works such news off some time later
// (net/core/link_watch.c).
func (n *Namespace) waitCarrier(name string) error {
	for deadline := time.Now().Add(carrierTimeout); ; time.Sleep(time.Millisecond) {
		link, err := n.link(name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("link %s in %s has no carrier after %v: it is %s", name, n.Name, carrierTimeout, link.Attrs().OperState)
		}
	}
}

// SetDown takes a link down; the other end of the cable loses its carrier.
func (n *Namespace) SetDown(name string) error { return n.setState(name, n.handle.LinkSetDown, "down") }

func (n *Namespace) setState(name string, set func(netlink.Link) error, state string) error {
	link, err := n.link(name)
	if err != nil {
		return err
	}
	if err := set(link); err != nil {
		return fmt.Errorf("set link %s in %s %s: %w", name, n.Name, state, err)
	}
	return nil
}

// AddAddr gives a link an address; one it has already is no error.
func (n *Namespace) AddAddr(name string, prefix netip.Prefix) error {
	link, err := n.link(name)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := n.handle.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("add address %s to %s in %s: %w", prefix, name, n.Name, err)
	}
	return nil
}

// DelAddr takes an address away from a link.
func (n *Namespace) DelAddr(name string, prefix netip.Prefix) error {
	link, err := n.link(name)
	if err != nil {
		return err
	}
	if err := n.handle.AddrDel(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("delete address %s from %s in %s: %w", prefix, name, n.Name, err)
	}
	return nil
}

// Addrs lists a link's addresses.
func (n *Namespace) Addrs(name string) ([]netip.Prefix, error) {
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	list, err := n.handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s in %s: %w", name, n.Name, err)
	}
	var prefixes []netip.Prefix
	for _, a := range list {
		addr, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), ones))
	}
	return prefixes, nil
}

// AddRoute adds a route through a gateway.
func (n *Namespace) AddRoute(to netip.Prefix, gateway netip.Addr) error {
	route := &netlink.Route{Dst: ipNet(to), Gw: gateway.AsSlice()}
	if err := n.handle.RouteAdd(route); err != nil {
		return fmt.Errorf("add route to %s via %s in %s: %w", to, gateway, n.Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// MAC is a link's hardware address.
func (n *Namespace) MAC(name string) (net.HardwareAddr, error) {
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	return link.Attrs().HardwareAddr, nil
}

// Counters are what an interface counted since it was made.
type Counters struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64
	RxDropped, TxDropped uint64
}

// Sub is what was counted between an earlier reading and this one.
func (c Counters) Sub(earlier Counters) Counters {
	return Counters{
		RxPackets: c.RxPackets - earlier.RxPackets, TxPackets: c.TxPackets - earlier.TxPackets,
		RxBytes: c.RxBytes - earlier.RxBytes, TxBytes: c.TxBytes - earlier.TxBytes,
		RxDropped: c.RxDropped - earlier.RxDropped, TxDropped: c.TxDropped - earlier.TxDropped,
	}
}

// Counters reads an interface's counters.
func (n *Namespace) Counters(name string) (Counters, error) {
	link, err := n.link(name)
	if err != nil {
		return Counters{}, err
	}
	s := link.Attrs().Statistics
	if s == nil {
		return Counters{}, fmt.Errorf("read counters of %s in %s: the kernel sent none", name, n.Name)
	}
	return Counters{
		RxPackets: s.RxPackets, TxPackets: s.TxPackets,
		RxBytes: s.RxBytes, TxBytes: s.TxBytes,
		RxDropped: s.RxDropped, TxDropped: s.TxDropped,
	}, nil
}

// Neighbour is the MAC address the namespace has for an IP address on a link;
// nil where it knows none.
func (n *Namespace) Neighbour(name string, addr netip.Addr) (net.HardwareAddr, error) {
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := n.handle.NeighList(link.Attrs().Index, family)
	if err != nil {
		return nil, fmt.Errorf("list neighbours of %s in %s: %w", name, n.Name, err)
	}
	for _, neigh := range list {
		if found, _ := netip.AddrFromSlice(neigh.IP); found.Unmap() == addr {
			return neigh.HardwareAddr, nil
		}
	}
	return nil, nil
}

// Sysctl sets one of the namespace's settings under /proc/sys/net, named as
// sysctl(8) does but with slashes: "ipv4/ip_forward". A setting that this
// kernel does not have is left alone.
func (n *Namespace) Sysctl(name, value string) error {
	err := n.Do(func() error {
		return os.WriteFile("/proc/sys/net/"+strings.TrimPrefix(name, "net/"), []byte(value), 0o644)
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set %s to %s in %s: %w", name, value, n.Name, err)
	}
	return nil
}

// normalise gives a new namespace the kernel's own defaults, which else come
// from the machine's settings (Documentation/networking/ip-sysctl.rst,
// devconf_inherit_init_net), turns IPv6 off where nobody asked for it, since
// its router solicitations and listener reports would disturb packet counts,
// and brings lo up.
func (n *Namespace) normalise(ipv6 bool) error {
	settings := [][2]string{{"ipv4/ip_forward", "0"}, {"bridge/bridge-nf-call-iptables", "0"}, {"bridge/bridge-nf-call-arptables", "0"}}
	for _, scope := range []string{"all", "default", "lo"} {
		for _, name := range []string{"rp_filter", "arp_ignore", "arp_announce"} {
			settings = append(settings, [2]string{"ipv4/conf/" + scope + "/" + name, "0"})
		}
		if !ipv6 {
			settings = append(settings, [2]string{"ipv6/conf/" + scope + "/disable_ipv6", "1"})
		}
	}
	for _, s := range settings {
		if err := n.Sysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	return n.SetUp("lo")
}
