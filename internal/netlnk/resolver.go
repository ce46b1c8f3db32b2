package netlnk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Resolver resolves many addresses at one moment. It asks the kernel once for each device
// and neighbour, of many addresses once for each route, and uses one socket and one buffer for
// all. It does not notice later changes: use a new one each time, and Close it. It is not for
// concurrent use.
type Resolver struct {
	socket     int
	reply      []byte
	sequence   uint32
	groups     *routeGroups // nil before there are many addresses
	answers    map[routeGroup]routeAnswer
	links      map[int]netlink.Link
	neighbours map[neighbourKey]netlink.Neigh
	policies   []policy
	asked      bool // for the policies
}

type neighbourKey struct {
	index int
	addr  netip.Addr
}

// routeAnswer is what the kernel says of the route to each address of a group.
type routeAnswer struct {
	hop NextHop
	err error
}

// askedSingly is for how many routes the kernel is asked before the routes themselves are read.
const askedSingly = 64

// replySize is more than the kernel's answer about one route, in bytes.
const replySize = 16 << 10

// NewResolver makes a Resolver for the network namespace of the calling thread.
func NewResolver() (*Resolver, error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("ask for routes: %w", os.NewSyscallError("socket", err))
	}
	return &Resolver{
		socket: socket, reply: make([]byte, replySize),
		links: map[int]netlink.Link{}, neighbours: map[neighbourKey]netlink.Neigh{},
		answers: map[routeGroup]routeAnswer{},
	}, nil
}

// Close closes the Resolver's socket.
func (r *Resolver) Close() { unix.Close(r.socket) }

// Resolve does what the function Resolve does, with the same errors, and Refresh for a
// neighbour that needs it. A next hop that an IPsec policy is for is refused.
func (r *Resolver) Resolve(dst netip.Addr) (NextHop, error) {
	if dst.Zone() != "" { // rare: the zone names a device
		return resolveAndRefresh(dst)
	}
	hop, key, err := r.route(dst.Unmap())
	if err != nil {
		return NextHop{Unreachable: noRoute(err)}, fmt.Errorf("route to %s: %w", dst, err)
	}
	if hop.Local {
		return hop, nil
	}
	l, err := r.link(hop.Index)
	if err != nil {
		return NextHop{}, fmt.Errorf("device %d of the route to %s: %w", hop.Index, dst, err)
	}
	var n netlink.Neigh
	if !layer3(l.Attrs()) {
		if n, err = r.neighbour(hop.Index, key); err != nil {
			return NextHop{}, err
		}
	}
	hop.over(l, n)
	if why := r.policed(dst.Unmap(), hop, l.Attrs().Name); why != "" && hop.Refused == "" {
		hop.Refused, hop.Valid = why, false
	}
	return hop, nil
}

// Device is the index of the device by which packets to an address leave; 0 where the address is this
// machine's. It asks for no neighbour.
func (r *Resolver) Device(dst netip.Addr) (index int, err error) {
	var hop NextHop
	if dst.Zone() != "" {
		hop, err = Resolve(dst)
	} else {
		hop, _, err = r.route(dst.Unmap())
	}
	if err != nil || hop.Local {
		return 0, err
	}
	return hop.Index, nil
}

func resolveAndRefresh(dst netip.Addr) (NextHop, error) {
	hop, err := Resolve(dst)
	if err == nil && !hop.Local {
		err = Refresh(dst)
	}
	return hop, err
}

// route looks an address up in the routing tables; key is that of the function route.
func (r *Resolver) route(dst netip.Addr) (hop NextHop, key netip.Addr, err error) {
	group, grouped := r.group(dst)
	if !grouped {
		return r.ask(dst)
	}
	answer, known := r.answers[group]
	if !known {
		answer.hop, _, answer.err = r.ask(dst)
		if _, kernels := answer.err.(unix.Errno); answer.err == nil || kernels {
			r.answers[group] = answer
		}
	}
	if key = dst; answer.hop.Gateway.IsValid() {
		key = answer.hop.Gateway
	}
	return answer.hop, key, answer.err
}

// group is the group of an address, once there are many: where the routes cannot be read, the
// kernel is asked for each address.
func (r *Resolver) group(dst netip.Addr) (group routeGroup, ok bool) {
	if r.groups == nil && r.sequence < askedSingly {
		return group, false
	}
	if r.groups == nil {
		r.groups, _ = readRouteGroups()
	}
	return r.groups.of(dst)
}

// ask asks the kernel for the route to an address (RTM_GETROUTE).
func (r *Resolver) ask(dst netip.Addr) (hop NextHop, key netip.Addr, err error) {
	r.sequence++
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.Seq = r.sequence
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family(dst)), Dst_len: uint8(dst.BitLen()), Flags: unix.RTM_F_LOOKUP_TABLE}})
	req.AddData(nl.NewRtAttr(unix.RTA_DST, dst.AsSlice()))
	if err := unix.Sendto(r.socket, req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return hop, dst, os.NewSyscallError("sendto", err)
	}
	for {
		n, _, err := unix.Recvfrom(r.socket, r.reply, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return hop, dst, os.NewSyscallError("recvfrom", err)
		}
		b := r.reply[:n]
		if n < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(b[8:]) != r.sequence {
			continue // the rest of an earlier answer that was not read to its end
		}
		payload := b[unix.SizeofNlMsghdr:]
		switch kind := binary.NativeEndian.Uint16(b[4:]); {
		case kind == unix.NLMSG_ERROR && len(payload) >= 4:
			return hop, dst, unix.Errno(-int32(binary.NativeEndian.Uint32(payload)))
		case kind == unix.RTM_NEWROUTE && len(payload) >= unix.SizeofRtMsg:
			return routeOf(dst, payload)
		}
		return hop, dst, fmt.Errorf("unexpected answer of the kernel (%d bytes)", n)
	}
}

// routeOf reads the kernel's answer.
func routeOf(dst netip.Addr, payload []byte) (hop NextHop, key netip.Addr, err error) {
	kind := nl.DeserializeRtMsg(payload).Type
	if kind != unix.RTN_LOCAL && kind != unix.RTN_UNICAST {
		return hop, dst, fmt.Errorf("not the address of one machine (route type %d)", kind)
	}
	attributes, err := nl.ParseRouteAttr(payload[unix.SizeofRtMsg:])
	if err != nil {
		return hop, dst, err
	}
	hop.Local = kind == unix.RTN_LOCAL
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_OIF:
			hop.Index = int(binary.NativeEndian.Uint32(a.Value))
		case unix.RTA_PREFSRC:
			hop.Source, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_GATEWAY:
			hop.Gateway, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_VIA: // the IPv6 router of an IPv4 route (RFC 5549), after 2 bytes of its family
			hop.Gateway, _ = netip.AddrFromSlice(a.Value[2:])
		case unix.RTA_ENCAP_TYPE:
			hop.Refused = encapsulated
		case unix.RTA_METRICS:
			hop.MTU = mtuOf(a.Value)
		}
	}
	if key = dst; hop.Gateway.IsValid() {
		key = hop.Gateway
	}
	return hop, key, nil
}

// mtuOf is the MTU among a route's metrics, in bytes; 0 where there is none.
func mtuOf(metrics []byte) int {
	attributes, err := nl.ParseRouteAttr(metrics)
	if err != nil {
		return 0
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.RTAX_MTU {
			return int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return 0
}

func (r *Resolver) link(index int) (netlink.Link, error) {
	if l := r.links[index]; l != nil {
		return l, nil
	}
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, err
	}
	r.links[index] = l
	return l, nil
}

// neighbour reads an entry of the neighbour table, once, and refreshes it.
func (r *Resolver) neighbour(index int, addr netip.Addr) (netlink.Neigh, error) {
	key := neighbourKey{index, addr}
	if n, known := r.neighbours[key]; known {
		return n, nil
	}
	n, err := neighbour(index, addr)
	if err == nil {
		r.neighbours[key] = n
		err = refresh(n, index, addr)
	}
	return n, err
}
