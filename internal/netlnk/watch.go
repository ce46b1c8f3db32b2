package netlnk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Kind is the kind of thing that has changed.
type Kind uint8

const (
	// Overrun means that events were lost: everything has to be read again.
	Overrun Kind = iota
	LinkChanged
	AddressChanged
	RouteChanged
	NeighbourChanged
	FirewallChanged // reported by WatchFirewall alone
)

func (k Kind) String() string {
	switch k {
	case Overrun:
		return "overrun"
	case LinkChanged:
		return "link"
	case AddressChanged:
		return "address"
	case RouteChanged:
		return "route"
	case NeighbourChanged:
		return "neighbour"
	case FirewallChanged:
		return "firewall"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event says that something of this kind was added, changed or removed.
type Event struct {
	Kind Kind
	// Index is the index of the device that it belongs to; 0 with Overrun, and for a
	// route by several devices.
	Index int
	// Neighbour is how a neighbour is known now, with NeighbourChanged; its zero value says
	// that it is not told.
	Neighbour NeighbourReport
}

// NeighbourReport is how the kernel knows a neighbour.
type NeighbourReport struct {
	Addr netip.Addr
	// MAC is its address where Usable says that the kernel itself sends there.
	MAC    [6]byte
	Usable bool
	// Failed says that it has not answered.
	Failed bool
}

// watchBuffer is the socket's receive buffer in bytes: large enough that a full routing
// table that is loaded again does not overrun a reader that is busy for a moment.
const watchBuffer = 1 << 20

// groups are the rtnetlink multicast groups that Watch joins, as the bit mask of
// sockaddr_nl.
const groups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_NEIGH-1) |
	1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) |
	1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) |
	1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1) |
	1<<(unix.RTNLGRP_NEXTHOP-1)

// policyGroup is the multicast group of IPsec policies (XFRMNLGRP_POLICY), as a bit mask.
const policyGroup = 1 << (4 - 1)

// policyEvent is what any change of the policies is: packets to somewhere may leave in another
// way.
func policyEvent(uint16, []byte) (Event, bool) { return Event{Kind: RouteChanged}, true }

// firewallGroup is the multicast group of nftables (NFNLGRP_NFTABLES), as a bit mask.
const firewallGroup = 1 << (7 - 1)

// firewallEvent is what a change of nftables' rules ends with.
func firewallEvent(msgType uint16, _ []byte) (Event, bool) {
	const newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
	return Event{Kind: FirewallChanged}, msgType == newGeneration
}

// WatchFirewall reports changes of nftables' rules, as Watch does those of links. None of
// iptables' legacy form is reported.
func WatchFirewall(ctx context.Context) (<-chan Event, error) {
	s, err := subscribe(unix.NETLINK_NETFILTER, firewallGroup, firewallEvent)
	if err != nil {
		return nil, fmt.Errorf("watch the kernel's firewall: %w", err)
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		s.follow(ctx, events)
	}()
	return events, nil
}

// Watch reports the changes of links, addresses, routes and neighbours that happen after
// it has returned, in the kernel's order; those of IPsec policies as changes of routes. The
// channel is closed when ctx ends, or earlier if the socket fails. A reader that is too slow
// gets an Overrun instead of the events that were lost.
func Watch(ctx context.Context) (<-chan Event, error) {
	s, err := subscribe(unix.NETLINK_ROUTE, groups, event)
	if err != nil {
		return nil, fmt.Errorf("watch the kernel's links and routes: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	events := make(chan Event)
	var running sync.WaitGroup
	running.Go(func() {
		defer end()
		s.follow(ctx, events)
	})
	if p, err := subscribe(unix.NETLINK_XFRM, policyGroup, policyEvent); err == nil { // a kernel may have no IPsec
		running.Go(func() { p.follow(ctx, events) })
	}
	go func() {
		running.Wait()
		close(events)
	}()
	return events, nil
}

// subscription is a non-blocking netlink socket that has joined multicast groups.
type subscription struct {
	file *os.File
	conn syscall.RawConn
	buf  []byte
	of   func(msgType uint16, data []byte) (Event, bool) // reads a message; false stands for others
}

func subscribe(protocol int, groups uint32, of func(msgType uint16, data []byte) (Event, bool)) (*subscription, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	// More than net.core.rmem_max takes CAP_NET_ADMIN. Where that is missing, the
	// default size stays, and overruns are more frequent.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		f.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &subscription{file: f, conn: conn, buf: make([]byte, nl.RECEIVE_BUFFER_SIZE), of: of}, nil
}

// follow reports events until ctx ends or the socket fails, and closes the socket.
func (s *subscription) follow(ctx context.Context, events chan<- Event) {
	defer s.file.Close()
	defer context.AfterFunc(ctx, func() { s.file.Close() })()
	s.receive(ctx, events)
}

func (s *subscription) receive(ctx context.Context, events chan<- Event) {
	for {
		msgs, err := s.read()
		if errors.Is(err, unix.ENOBUFS) {
			msgs, err = nil, s.drain()
			if err == nil && !send(ctx, events, Event{Kind: Overrun}) {
				return
			}
		}
		if err != nil {
			return
		}
		for _, m := range msgs {
			e, ok := s.of(m.Header.Type, m.Data)
			if ok && !send(ctx, events, e) {
				return
			}
		}
	}
}

// read waits for the next datagram and parses it.
func (s *subscription) read() ([]syscall.NetlinkMessage, error) {
	var n int
	var from unix.Sockaddr
	var failed error
	err := s.conn.Read(func(fd uintptr) bool {
		n, from, failed = unix.Recvfrom(int(fd), s.buf, 0)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	// Any local process may send to the groups; messages with port 0 are the kernel's.
	if k, ok := from.(*unix.SockaddrNetlink); !ok || k.Pid != nl.PidKernel {
		return nil, nil
	}
	return syscall.ParseNetlinkMessage(s.buf[:n])
}

// drain empties the socket's queue after an overrun. The kernel reports an overrun once
// and then drops messages without a word until the queue is empty (netlink_overrun and
// netlink_rcv_wake, net/netlink/af_netlink.c). Only after that nothing is lost any more,
// and the reader may be told to read everything again.
func (s *subscription) drain() error {
	var failed error
	err := s.conn.Control(func(fd uintptr) {
		for failed == nil || failed == unix.EINTR || failed == unix.ENOBUFS {
			_, _, failed = unix.Recvfrom(int(fd), s.buf, 0)
		}
	})
	if failed == unix.EAGAIN {
		failed = nil
	}
	return errors.Join(err, failed)
}

func send(ctx context.Context, events chan<- Event, e Event) bool {
	select {
	case events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// event reads the kind and the device's index from a message; false stands for other
// messages. ifinfomsg, ifaddrmsg and ndmsg all have the index at offset 4, in host byte
// order.
func event(msgType uint16, data []byte) (Event, bool) {
	if len(data) < 8 {
		return Event{}, false
	}
	index := int(binary.NativeEndian.Uint32(data[4:]))
	switch msgType {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return Event{Kind: LinkChanged, Index: index}, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return Event{Kind: AddressChanged, Index: index}, true
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return Event{Kind: NeighbourChanged, Index: index, Neighbour: neighbourOf(msgType, data)}, true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return Event{Kind: RouteChanged, Index: routeDevice(data)}, true
	case unix.RTM_NEWRULE, unix.RTM_DELRULE: // by which other routes are taken
		return Event{Kind: RouteChanged}, true
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP: // of a route that is told of once (nexthop_compat_mode=0)
		return Event{Kind: RouteChanged}, true
	}
	return Event{}, false
}

// neighbourOf reads how a neighbour is known now: an ndmsg has the state (NUD_…) at offset
// 8, in host byte order.
func neighbourOf(msgType uint16, data []byte) (n NeighbourReport) {
	if len(data) < unix.SizeofNdMsg {
		return n
	}
	attrs, err := nl.ParseRouteAttr(data[unix.SizeofNdMsg:])
	if err != nil {
		return n
	}
	state := int(binary.NativeEndian.Uint16(data[8:]))
	known := msgType == unix.RTM_NEWNEIGH && state&usable != 0
	n.Failed = msgType == unix.RTM_NEWNEIGH && state&netlink.NUD_FAILED != 0
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(a.Value)
		case unix.NDA_LLADDR:
			n.Usable = known && copy(n.MAC[:], a.Value) == len(n.MAC)
		}
	}
	if !n.Usable {
		n.MAC = [6]byte{}
	}
	return n
}

// routeDevice is the index of a route's device; 0 where the route has several or none.
func routeDevice(data []byte) int {
	if len(data) < unix.SizeofRtMsg {
		return 0
	}
	attrs, err := nl.ParseRouteAttr(data[unix.SizeofRtMsg:])
	if err != nil {
		return 0
	}
	for _, a := range attrs {
		if a.Attr.Type == syscall.RTA_OIF && len(a.Value) >= 4 {
			return int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return 0
}
