package bfd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// datagram is what has come in.
type datagram struct {
	data     []byte
	from, to netip.Addr // to is the zero Addr where the kernel has not said
	ttl      uint8      // its TTL or hop limit; 0 where the kernel has not said
}

// receiver listens on a port for both families.
type receiver struct {
	conns []*net.UDPConn
	done  sync.WaitGroup
}

// inherited is how long a port that was closed may still be in use: a program that is being
// started has this process's sockets until its execve. Tests change it.
var inherited = 500 * time.Millisecond

// listen hands what comes to a port to take, one datagram at a time for each family. A
// family that the machine does not have is left out.
func listen(port uint16, take func(datagram)) (*receiver, error) {
	r := &receiver{}
	for _, network := range []string{"udp4", "udp6"} {
		lc := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error { return control(c, askForMore(network)) }}
		conn, err := listenPatiently(lc, network, port)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) && network == "udp6" {
			continue
		}
		if err != nil {
			r.close()
			return nil, err
		}
		udp := conn.(*net.UDPConn)
		r.conns = append(r.conns, udp)
		r.done.Go(func() { receive(udp, take) })
	}
	return r, nil
}

// listenPatiently listens on a port, and waits where it is still in use. The kernel reports no end
// of that, so it asks each millisecond.
func listenPatiently(lc net.ListenConfig, network string, port uint16) (conn net.PacketConn, err error) {
	for end := time.Now().Add(inherited); ; time.Sleep(time.Millisecond) {
		conn, err = lc.ListenPacket(context.Background(), network, ":"+strconv.Itoa(int(port)))
		if !errors.Is(err, unix.EADDRINUSE) || !time.Now().Before(end) {
			return conn, err
		}
	}
}

// askForMore has the kernel say how far a datagram has come and where it was sent to.
func askForMore(network string) func(fd int) error {
	return func(fd int) error {
		if network == "udp4" {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTTL, 1), unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1))
		}
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT, 1), unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1))
	}
}

func control(c syscall.RawConn, do func(fd int) error) (err error) {
	if e := c.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
		return e
	}
	return err
}

func (r *receiver) close() {
	for _, c := range r.conns {
		_ = c.Close() // it has no error that matters to one that is not read any more
	}
	r.done.Wait()
}

func receive(conn *net.UDPConn, take func(datagram)) {
	data, more := make([]byte, 512), make([]byte, 128)
	for {
		n, moreLen, _, from, err := conn.ReadMsgUDPAddrPort(data, more)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // one that stays must not keep a CPU busy
			continue
		}
		d := datagram{data: data[:n], from: from.Addr().Unmap().WithZone("")}
		d.read(more[:moreLen])
		take(d)
	}
}

// read takes in what the kernel says of a datagram (ip(7), ipv6(7)).
func (d *datagram) read(more []byte) {
	messages, err := unix.ParseSocketControlMessage(more)
	if err != nil {
		return
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_TTL && len(m.Data) >= 4,
			m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4:
			d.ttl = m.Data[0] | m.Data[3] // an int of at most 255, in the machine's byte order
		case m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			d.to, _ = netip.AddrFromSlice(m.Data[8:12]) // ipi_addr
		case m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			d.to, _ = netip.AddrFromSlice(m.Data[:16]) // ipi6_addr
		}
	}
}

// The ports that packets come from (RFC 5881 section 4).
const (
	firstSource = 49152
	lastSource  = 65535
)

// networkControl is the class of packets that keep a network going: DSCP CS6.
const networkControl = 0xc0

// sender sends the packets of a session. Its own port stays the same (RFC 5881 section 4).
type sender struct {
	config Config
	log    *slog.Logger
	conn   *net.UDPConn // nil while it cannot be opened
	failed string       // why the last packet could not be sent; empty where it could
}

// newSender opens a socket, if that can be done already: the source address may come late.
func newSender(c Config, log *slog.Logger) *sender {
	s := &sender{config: c, log: log}
	_ = s.open() // send tries again, and tells of the error
	return s
}

func (s *sender) open() (err error) {
	network, own := "udp4", netip.IPv4Unspecified()
	if s.config.Neighbor.Is6() {
		network, own = "udp6", netip.IPv6Unspecified()
	}
	if s.config.Source.IsValid() {
		own = s.config.Source
	}
	lc := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error { return control(c, s.prepare(network)) }}
	for range 64 { // ports may be taken
		port := firstSource + rand.N(lastSource-firstSource+1)
		var conn net.PacketConn
		conn, err = lc.ListenPacket(context.Background(), network, netip.AddrPortFrom(own, uint16(port)).String())
		if err == nil {
			s.conn = conn.(*net.UDPConn)
			return nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return err
}

func (s *sender) prepare(network string) func(fd int) error {
	return func(fd int) error {
		if network == "udp4" {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, int(s.config.TTL)), unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TOS, networkControl))
		}
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, int(s.config.TTL)), unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TCLASS, networkControl))
	}
}

// send sends a packet. It tells of an error once, and of the end of it.
func (s *sender) send(p Packet) {
	err := s.try(p)
	now := reason(err)
	switch {
	case now == s.failed:
	case err != nil:
		s.log.Warn("BFD packets cannot be sent", "name", s.config.Name, "neighbor", s.config.Neighbor, "reason", now)
	default:
		s.log.Info("BFD packets can be sent again", "name", s.config.Name, "neighbor", s.config.Neighbor)
	}
	s.failed = now
}

// reason is the system's error, without the port that a socket was to have.
func reason(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}

func (s *sender) try(p Packet) error {
	data, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	if s.conn == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	_, err = s.conn.WriteToUDPAddrPort(data, netip.AddrPortFrom(s.config.Neighbor, port(s.config.Multihop)))
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil // the neighbour had no speaker when an earlier packet came
	}
	return err
}

func (s *sender) close() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is sent by it any more
	}
}
