package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// Ping is PING_CHECK: the server is up when an ICMP or ICMPv6 echo comes back. Each check
// has a socket of its own while it waits, so there are no more of them than checks.
type Ping struct{ Endpoint }

func newPing(c conf.Check, _ *Shared) Checker { return Ping{endpointOf(c)} }

func (c Ping) String() string { return string(conf.CheckPing) + " " + c.Target.Addr().String() }

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// An echo is a header of 8 bytes and as much data as keepalived sends.
const (
	echoHeader = 8
	echoData   = 128
)

// Check sends one echo request, and returns with its answer, with the first error that
// the network reports, or after the time-out. It leaves the weight as it is.
func (c Ping) Check(ctx context.Context) (Weight, error) {
	if err := c.echo(ctx); err != nil {
		return Weight{}, c.reason(ctx, err)
	}
	return Weight{}, nil
}

func (c Ping) echo(ctx context.Context) error {
	socket, raw, err := c.open()
	if err != nil {
		return err
	}
	defer socket.Close()
	release, err := bound(ctx, socket, c.deadline())
	if err != nil {
		return err
	}
	defer release()
	request := c.request()
	if _, err := socket.Write(request); err != nil {
		return err
	}
	room := echoRoom.Get().(*[]byte)
	defer echoRoom.Put(room)
	for {
		n, err := socket.Read(*room)
		if err != nil {
			return err
		}
		if c.answers((*room)[:n], request, raw) {
			return nil
		}
	}
}

// echoRoom has buffers for an answer and an IPv4 header with options.
var echoRoom = sync.Pool{New: func() any {
	room := make([]byte, 60+echoHeader+echoData)
	return &room
}}

// request is an echo request with an identifier (bind_port, or any) and data that no
// other has. The kernel puts another identifier in on a datagram's socket, and computes
// the checksum there and for IPv6.
func (c Ping) request() []byte {
	b := make([]byte, echoHeader+echoData)
	b[0] = echoRequest6
	_, _ = rand.Read(b[4:24]) // never fails
	if c.Bind.Port() != 0 {
		binary.BigEndian.PutUint16(b[4:], c.Bind.Port())
	}
	for i := 24; i < len(b); i += copy(b[i:], "weir check - ") {
	}
	if c.Target.Addr().Is4() {
		b[0] = echoRequest4
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// checksum is that of the Internet (RFC 1071) over an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// answers says whether a packet is the answer to a request. A raw socket shows the IPv4
// header, and all ICMP from the target.
func (c Ping) answers(packet, request []byte, raw bool) bool {
	reply := byte(echoReply6)
	if c.Target.Addr().Is4() {
		reply = echoReply4
		if raw {
			if len(packet) == 0 || len(packet) < int(packet[0]&0xf)*4 {
				return false
			}
			packet = packet[int(packet[0]&0xf)*4:]
		}
	}
	// Behind the type, the code and the checksum a raw socket's answer begins with the
	// identifier, any other's with the sequence number behind it.
	from := 6
	if raw {
		from = 4
	}
	return len(packet) == len(request) && packet[0] == reply && packet[1] == 0 && bytes.Equal(packet[from:], request[from:])
}

// open makes a socket that is connected to the target, so that it is told of the
// network's errors and of no other host's packets. A datagram's socket gets only the
// answers to its own requests. Where net.ipv4.ping_group_range does not let weir have
// one, or where bind_port says which identifier to use, it is a raw one.
func (c Ping) open() (socket *os.File, raw bool, err error) {
	raw = c.Bind.Port() != 0
	if !raw {
		if socket, err = c.openAs(unix.SOCK_DGRAM); !errors.Is(err, unix.EACCES) {
			return socket, false, err
		}
	}
	socket, err = c.openAs(unix.SOCK_RAW)
	return socket, true, err
}

func (c Ping) openAs(kind int) (*os.File, error) {
	protocol := unix.IPPROTO_ICMPV6
	if c.Target.Addr().Is4() {
		protocol = unix.IPPROTO_ICMP
	}
	// bind_port is the identifier, no port of the socket.
	c.Bind, c.Target = netip.AddrPortFrom(c.Bind.Addr(), 0), netip.AddrPortFrom(c.Target.Addr(), 0)
	fd, err := c.socket(kind, protocol)
	if err != nil {
		return nil, err
	}
	if err := connect(fd, kind, c.Target); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "icmp"), nil
}

// connect has a socket hear only the target from now on. A raw socket has heard everybody until
// then: on a machine with thousands of checks its buffer may be full of the answers to others.
func connect(fd, kind int, target netip.AddrPort) error {
	if err := unix.Connect(fd, sockaddr(target)); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if kind != unix.SOCK_RAW {
		return nil
	}
	none := []byte{0}
	for range rawBacklog {
		if _, _, err := unix.Recvfrom(fd, none, unix.MSG_DONTWAIT|unix.MSG_TRUNC); err != nil {
			return nil // it is empty
		}
	}
	return nil
}

// rawBacklog is more packets than the buffer of a raw socket holds.
const rawBacklog = 4096
