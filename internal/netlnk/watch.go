package netlnk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Kind is what an Event is about.
type Kind uint8

const (
	// Overrun means that events were lost: look at everything again.
	Overrun Kind = iota
	LinkChanged
	AddressChanged
	RouteChanged
	NeighbourChanged
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
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event says that something of this kind changed, appeared or went.
type Event struct {
	Kind Kind
	// Index is the device's; 0 where none can be named (a route by several
	// devices, an overrun).
	Index int
}

// watchBuffer is the socket's receive buffer in bytes: a reload of a full
// routing table should not overrun a reader that is busy for a moment.
const watchBuffer = 1 << 20

// groups are the rtnetlink multicast groups a Watch joins, as sockaddr_nl's
// bit mask.
const groups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_NEIGH-1) |
	1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) |
	1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1)

// Watch reports changes of links, addresses, routes and neighbours from its
// return on, in the kernel's order, until ctx ends; then the channel closes. It
// closes earlier only if the socket fails. A reader that is too slow gets an
// Overrun in place of what was lost.
func Watch(ctx context.Context) (<-chan Event, error) {
	s, err := subscribe()
	if err != nil {
		return nil, fmt.Errorf("watch the kernel's links and routes: %w", err)
	}
	events := make(chan Event)
	stop := context.AfterFunc(ctx, func() { s.file.Close() })
	go func() {
		defer close(events)
		defer s.file.Close()
		defer stop()
		s.receive(ctx, events)
	}()
	return events, nil
}

// subscription is a non-blocking rtnetlink socket that hears the groups.
type subscription struct {
	file *os.File
	conn syscall.RawConn
	buf  []byte
}

func subscribe() (*subscription, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "rtnetlink")
	// Beyond net.core.rmem_max only with CAP_NET_ADMIN, which a watcher may
	// lack; the default size then serves, with more overruns.
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
	return &subscription{file: f, conn: conn, buf: make([]byte, nl.RECEIVE_BUFFER_SIZE)}, nil
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
			e, ok := event(m.Header.Type, m.Data)
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
	// Any local process may send to the groups; only port 0 is the kernel.
	if k, ok := from.(*unix.SockaddrNetlink); !ok || k.Pid != nl.PidKernel {
		return nil, nil
	}
	return syscall.ParseNetlinkMessage(s.buf[:n])
}

// drain empties the queue after an overrun. The kernel tells of an overrun once
// and then drops in silence until the queue is empty (netlink_overrun and
// netlink_rcv_wake, net/netlink/af_netlink.c): only from there on nothing is
// missed, so only then may the reader be told to look.
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

// event reads the kind and the device's index from a message. The index stands
// at offset 4, in host order, in ifinfomsg, ifaddrmsg and ndmsg alike.
func event(msgType uint16, data []byte) (Event, bool) {
	if len(data) < 8 {
		return Event{}, false
	}
	index := int(binary.NativeEndian.Uint32(data[4:]))
	switch msgType {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return Event{LinkChanged, index}, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return Event{AddressChanged, index}, true
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return Event{NeighbourChanged, index}, true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return Event{RouteChanged, routeDevice(data)}, true
	}
	return Event{}, false
}

// routeDevice finds the outgoing device of a route message; 0 if it has none.
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
