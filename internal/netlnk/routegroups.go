package netlnk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeGroups parts the IPv4 addresses into groups: for the addresses of one the kernel has one
// answer to the question for a route. Two addresses are in the same group where the same
// destinations of routes, of rules and of exceptions (path MTUs, redirects) contain both, so
// that nothing that the kernel looks at tells them apart, unless a route has several next hops.
//
// For IPv6 there are no groups: the source address hangs on each destination (RFC 6724).
type routeGroups struct {
	single map[routeGroup]bool // whether no route of the group has several next hops
	sizes  []int               // of the groups' prefixes, in bits, the longest first
}

// routeGroup is the longest prefix that contains its addresses; the zero one is none.
type routeGroup struct {
	net  uint32
	bits int
}

// mostGroups bounds the routes that are read: it takes less to ask for each address than to
// read the routes of the whole Internet.
const mostGroups = 2048

// rtaNextHopID is RTA_NH_ID (include/uapi/linux/rtnetlink.h): the next hops are an object of
// their own.
const rtaNextHopID = 30

// readRouteGroups reads what the kernel's answers hang on. Where there is too much of it, no
// address is in a group, nor with an error.
func readRouteGroups() (*routeGroups, error) {
	g := &routeGroups{single: map[routeGroup]bool{{}: true}}
	if err := g.addRoutes(); err != nil {
		return &routeGroups{}, err
	}
	rules, err := netlink.RuleList(unix.AF_INET)
	if err != nil {
		return &routeGroups{}, fmt.Errorf("list the rules of routes: %w", err)
	}
	for _, r := range rules {
		if r.Dst != nil {
			size, _ := r.Dst.Mask.Size()
			g.add(binary.BigEndian.Uint32(r.Dst.IP.To4()), size, true)
		}
	}
	if len(g.single) > mostGroups {
		return &routeGroups{}, nil
	}
	for group := range g.single {
		if !slices.Contains(g.sizes, group.bits) {
			g.sizes = append(g.sizes, group.bits)
		}
	}
	slices.SortFunc(g.sizes, func(a, b int) int { return b - a })
	g.inherit()
	return g, nil
}

// addRoutes adds the destinations of all tables' routes and of their exceptions, which the
// kernel lists with them unless a socket asks for strict checks (inet_dump_fib,
// net/ipv4/fib_frontend.c). It stops where there are too many.
func (g *routeGroups) addRoutes() error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("list routes: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(socket) // which ends a listing
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET}})
	if err := unix.Sendto(socket, req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("list routes: %w", os.NewSyscallError("sendto", err))
	}
	reply := make([]byte, 2*replySize)
	for len(g.single) <= mostGroups {
		n, _, err := unix.Recvfrom(socket, reply, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list routes: %w", os.NewSyscallError("recvfrom", err))
		}
		messages, err := syscall.ParseNetlinkMessage(reply[:n])
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		for _, m := range messages {
			switch {
			case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
				return fmt.Errorf("list routes: %w", ErrInterrupted)
			case m.Header.Type == unix.NLMSG_DONE:
				return nil
			case m.Header.Type != unix.RTM_NEWROUTE:
				return fmt.Errorf("list routes: unexpected answer of the kernel (type %d)", m.Header.Type)
			}
			if err := g.addRoute(m.Data); err != nil {
				return fmt.Errorf("list routes: %w", err)
			}
		}
	}
	return nil
}

func (g *routeGroups) addRoute(b []byte) error {
	if len(b) < unix.SizeofRtMsg {
		return fmt.Errorf("unexpected answer of the kernel (%d bytes)", len(b))
	}
	attributes, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil {
		return err
	}
	var dst uint32
	single := true
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_DST:
			if len(a.Value) == 4 {
				dst = binary.BigEndian.Uint32(a.Value)
			}
		case unix.RTA_MULTIPATH, rtaNextHopID:
			single = false
		}
	}
	g.add(dst, int(nl.DeserializeRtMsg(b).Dst_len), single)
	return nil
}

func (g *routeGroups) add(net uint32, size int, single bool) {
	group := routeGroup{net & maskOf(size), size}
	if was, known := g.single[group]; known {
		single = single && was
	}
	g.single[group] = single
}

// inherit has a group be of several next hops where a route is that contains it: a route may
// be passed over (throw, a rule).
func (g *routeGroups) inherit() {
	for _, size := range slices.Backward(g.sizes) { // the shortest first, which inherits from none
		for group, single := range g.single {
			if group.bits == size && single {
				outer, _ := g.find(group.net, size-1)
				g.single[group] = size == 0 || g.single[outer]
			}
		}
	}
}

// of is the group of an address; ok is false where each of its addresses has to be asked for.
func (g *routeGroups) of(a netip.Addr) (group routeGroup, ok bool) {
	if len(g.sizes) == 0 || !ordinary(a) {
		return routeGroup{}, false
	}
	b := a.As4()
	return g.find(binary.BigEndian.Uint32(b[:]), 32)
}

// find is the longest prefix of at most so many bits that an address is in.
func (g *routeGroups) find(a uint32, most int) (group routeGroup, single bool) {
	for _, size := range g.sizes {
		if size > most {
			continue
		}
		group = routeGroup{a & maskOf(size), size}
		if single, known := g.single[group]; known {
			return group, single
		}
	}
	return routeGroup{}, false
}

// ordinary says whether the kernel knows nothing of an address but what routes say.
func ordinary(a netip.Addr) bool {
	const reserved = 240 // the first number of addresses that are in no network
	return a.Is4() && !a.IsMulticast() && a.As4()[0] != 0 && a.As4()[0] < reserved
}

func maskOf(size int) uint32 { return math.MaxUint32 << (32 - size) }
