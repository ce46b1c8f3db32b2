package netlnk

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// NextHop is how a packet to an address leaves this machine.
type NextHop struct {
	// Index is the index of the device by which it leaves.
	Index int
	// Src is the MAC address of that device, Dst that of the next hop.
	Src, Dst net.HardwareAddr
	// Gateway is the router that the route names; invalid where the address is on the
	// link.
	Gateway netip.Addr
	// Source is the local address that the kernel chooses for packets to it.
	Source netip.Addr
	// MTU is the route's or, where that has none, the device's, in bytes.
	MTU int
	// Local says that the address is this machine's own: no frame leaves, and only
	// Index, Source and MTU may be set.
	Local bool
	// Valid says that Src and Dst are known and may be used, or that the device needs none
	// (Link.Layer3).
	Valid bool
	// Unreachable says that the kernel would send nothing there, and tell the sender so: there
	// is no route, or the next hop does not answer ARP or neighbour solicitations. Without a
	// route nothing else is set. Where a neighbour is still being looked for, neither
	// Valid nor Unreachable is set.
	Unreachable bool
	// Refused says in words why no packet can be sent by the device, whatever the
	// neighbour; Valid is false then.
	Refused string
}

// usable are the neighbour states in which the kernel itself sends to the MAC address
// that it knows (NUD_VALID, include/net/neighbour.h).
const usable = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE |
	netlink.NUD_PROBE | netlink.NUD_STALE | netlink.NUD_DELAY

// Resolve asks the kernel's routes and neighbour table how to reach dst. A neighbour
// that is not known yet is no error: Valid is false then, and Refresh makes the kernel
// ask for it. No route to dst, and a route to anything but one machine, are errors; with the
// former the next hop is Unreachable.
func Resolve(dst netip.Addr) (NextHop, error) {
	hop, key, err := route(dst)
	if err != nil || hop.Local {
		return hop, err
	}
	l, err := netlink.LinkByIndex(hop.Index)
	if err != nil {
		return NextHop{}, fmt.Errorf("device %d of the route to %s: %w", hop.Index, dst, err)
	}
	n, err := neighbour(hop.Index, key)
	if err != nil {
		return NextHop{}, err
	}
	hop.over(l, n)
	return hop, nil
}

// encapsulated is why packets that the data plane hands to a device do not go where a route with
// an encapsulation leads: only the kernel's own output gives it to them.
const encapsulated = "the route has an encapsulation (ip route … encap), which the data plane does not apply: lead there by a device of the tunnel"

// over fills in what follows from the hop's device and neighbour.
func (hop *NextHop) over(l netlink.Link, n netlink.Neigh) {
	a := l.Attrs()
	if hop.MTU == 0 { // the route has none of its own
		hop.MTU = a.MTU
	}
	switch {
	case hop.Refused != "":
		return
	case layer3(a) && remoteless(l):
		hop.Refused = fmt.Sprintf("device %s is a tunnel without a remote end", a.Name)
		return
	case layer3(a):
		hop.Valid = true
		return
	case len(macOf(a)) != 6:
		hop.Refused = fmt.Sprintf("device %s has a link layer (%s) that is not Ethernet", a.Name, a.EncapType)
		return
	}
	hop.Src = macOf(a)
	if n.State&usable != 0 {
		hop.Dst = n.HardwareAddr
	}
	hop.Valid = len(hop.Dst) == 6
	hop.Unreachable = n.State&netlink.NUD_FAILED != 0
}

// remoteless says whether a tunnel learns the remote end of each packet from the packet's
// route, of which a packet that is redirected to it has none (ip_tunnel_xmit,
// net/ipv4/ip_tunnel.c).
func remoteless(l netlink.Link) bool {
	switch l := l.(type) {
	case *netlink.Iptun:
		return l.FlowBased || unset(l.Remote)
	case *netlink.Sittun:
		return unset(l.Remote)
	case *netlink.Ip6tnl:
		return l.FlowBased || unset(l.Remote)
	case *netlink.Gretun:
		return l.FlowBased || unset(l.Remote)
	}
	return false
}

func unset(a net.IP) bool { return len(a) == 0 || a.IsUnspecified() }

// Refresh makes the kernel ask for the next hop to dst where its MAC address is unknown,
// and confirm it where it is stale. It has the effect of a packet that is sent there
// (NTF_USE): the kernel removes the entry again when it is not used. Refresh does not
// wait; the result comes as an Event of NeighbourChanged.
func Refresh(dst netip.Addr) error {
	hop, key, err := route(dst)
	if err != nil || hop.Local {
		return err
	}
	n, err := neighbour(hop.Index, key)
	if err != nil {
		return err
	}
	return refresh(n, hop.Index, key)
}

// KnownNeighbour is one that packets leave to by a device.
type KnownNeighbour struct {
	Device int // its index
	Addr   netip.Addr
	MAC    net.HardwareAddr // as it is known; empty where it is not
}

// RefreshAll does what Refresh does for neighbours of which the routes are known, and says
// whether the kernel knows another MAC address of one. It goes on after an error, and returns
// the first; of a device without neighbours it does nothing.
func RefreshAll(all []KnownNeighbour) (news bool, first error) {
	layer3s := map[int]bool{}
	for _, one := range all {
		without, known := layer3s[one.Device]
		if !known {
			l, err := netlink.LinkByIndex(one.Device)
			without = err != nil || layer3(l.Attrs())
			layer3s[one.Device] = without
		}
		if without {
			continue
		}
		n, err := neighbour(one.Device, one.Addr)
		news = news || n.State&usable != 0 && len(n.HardwareAddr) == 6 && !bytes.Equal(n.HardwareAddr, one.MAC)
		if err == nil {
			err = refresh(n, one.Device, one.Addr)
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return news, first
}

func refresh(n netlink.Neigh, index int, key netip.Addr) error {
	// A permanent entry is left alone: NTF_USE would clear its state (__neigh_update,
	// net/core/neighbour.c). In the other states the entry is valid or the kernel is
	// already asking.
	const ask = netlink.NUD_STALE | netlink.NUD_FAILED
	if n.State != netlink.NUD_NONE && n.State&ask == 0 {
		return nil
	}
	err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: index,
		Family:    family(key),
		IP:        key.AsSlice(),
		Flags:     netlink.NTF_USE,
	})
	if err != nil {
		return fmt.Errorf("resolve neighbour %s: %w", key, err)
	}
	return nil
}

// route looks dst up in the routing tables. key is the address of the next hop in the
// neighbour table: the router's, or dst itself.
func route(dst netip.Addr) (hop NextHop, key netip.Addr, err error) {
	dst = dst.Unmap()
	opts := &netlink.RouteGetOptions{Oif: dst.Zone()}
	key = dst.WithZone("")
	routes, err := netlink.RouteGetWithOptions(key.AsSlice(), opts)
	if err != nil {
		return NextHop{Unreachable: noRoute(err)}, key, fmt.Errorf("route to %s: %w", dst, err)
	}
	if len(routes) == 0 {
		return NextHop{Unreachable: true}, key, fmt.Errorf("route to %s: %w", dst, unix.ENETUNREACH)
	}
	r := routes[0]
	hop = NextHop{Index: r.LinkIndex, MTU: r.MTU, Local: r.Type == unix.RTN_LOCAL}
	if src, ok := netip.AddrFromSlice(r.Src); ok {
		hop.Source = src.Unmap()
	}
	if r.Type != unix.RTN_LOCAL && r.Type != unix.RTN_UNICAST {
		return NextHop{}, key, fmt.Errorf("route to %s: not the address of one machine (route type %d)", dst, r.Type)
	}
	if r.Encap != nil {
		hop.Refused = encapsulated
	}
	if gw, ok := gateway(r); ok {
		hop.Gateway, key = gw, gw
	}
	return hop, key, nil
}

// noRoute says whether the kernel's error about a route is that of none, or of a route of type
// unreachable, prohibit or blackhole.
func noRoute(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL)
}

// gateway is the router of a route, if it has one. An IPv4 route may have an IPv6 router
// (RTA_VIA, RFC 5549).
func gateway(r netlink.Route) (netip.Addr, bool) {
	if gw, ok := netip.AddrFromSlice(r.Gw); ok {
		return gw.Unmap(), true
	}
	if via, ok := r.Via.(*netlink.Via); ok {
		return netip.AddrFromSlice(via.Addr)
	}
	return netip.Addr{}, false
}

// neighbour reads one entry of the neighbour table (RTM_GETNEIGH for one entry, Linux 5.0
// and later). An entry that does not exist is returned with the state NUD_NONE.
func neighbour(index int, addr netip.Addr) (netlink.Neigh, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&netlink.Ndmsg{Family: uint8(family(addr)), Index: uint32(index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, addr.AsSlice()))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) || err == nil && len(msgs) == 0 {
		return netlink.Neigh{}, nil
	}
	if err != nil {
		return netlink.Neigh{}, fmt.Errorf("read neighbour %s: %w", addr, err)
	}
	n, err := netlink.NeighDeserialize(msgs[0])
	if err != nil {
		return netlink.Neigh{}, fmt.Errorf("read neighbour %s: %w", addr, err)
	}
	return *n, nil
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
