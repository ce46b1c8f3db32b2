package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// Endpoint is where a check over the network goes, and how: the words that all kinds of
// such checks share.
type Endpoint struct {
	// Target is connect_ip and connect_port; PING_CHECK takes no port.
	Target netip.AddrPort
	// Bind is bindto and bind_port: where the packets come from. The kernel chooses
	// where the address is the zero Addr, and where the port is 0.
	Bind netip.AddrPort
	// Device is bind_if: the network device that the packets leave by and their answers
	// come in by. Empty leaves it to the routes; a link-local Target needs one.
	Device string
	// Mark is fwmark: the firewall mark of the packets, 0 for none.
	Mark uint32
	// Timeout is connect_timeout: how long the server has to connect and, where the kind
	// of check asks for more, to answer. 0 is no limit but the kernel's own.
	Timeout time.Duration
	// Reset ends connections by a reset instead of a FIN, so that the data plane forgets
	// them soon.
	Reset bool
}

func endpointOf(c conf.Check) Endpoint {
	return Endpoint{
		Target: c.Connect, Bind: netip.AddrPortFrom(c.Bind, c.BindPort), Device: c.BindIf, Mark: c.Mark, Timeout: c.ConnectTimeout,
	}
}

// dial connects by "tcp" or "udp". The error is as reason gives it.
func (e Endpoint) dial(ctx context.Context, network string) (net.Conn, error) {
	d := e.dialer(network)
	conn, err := d.DialContext(ctx, network, e.Target.String())
	if err != nil {
		return nil, e.reason(ctx, err)
	}
	return conn, nil
}

func (e Endpoint) dialer(network string) net.Dialer {
	// A check's connection is short: keep-alive probes would be of no use.
	d := net.Dialer{Timeout: e.Timeout, KeepAlive: -1}
	bind := e.Bind.Addr().AsSlice()
	switch {
	case bind == nil && e.Bind.Port() == 0:
	case network == "udp":
		d.LocalAddr = &net.UDPAddr{IP: bind, Port: int(e.Bind.Port()), Zone: e.Bind.Addr().Zone()}
	default:
		d.LocalAddr = &net.TCPAddr{IP: bind, Port: int(e.Bind.Port()), Zone: e.Bind.Addr().Zone()}
	}
	if e.Device != "" || e.Mark != 0 || network == "udp" || bind != nil {
		d.Control = func(network, _ string, c syscall.RawConn) error {
			return control(c, func(fd int) error { return e.prepare(fd, strings.HasPrefix(network, "tcp")) })
		}
	}
	return d
}

// control calls do with the socket of a connection.
func control(c syscall.RawConn, do func(fd int) error) (err error) {
	if e := c.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
		return e
	}
	return err
}

// prepare sets the options of a socket before it is bound: its mark, its device, that
// errors from the network are told (IP_RECVERR: without it a datagram's socket is not
// told that a host cannot be reached), and that a port is chosen only when it connects,
// when the same port serves for many targets.
func (e Endpoint) prepare(fd int, stream bool) error {
	if e.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(e.Mark))); err != nil {
			return fmt.Errorf("set mark %d: %w", e.Mark, err)
		}
	}
	if e.Device != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, e.Device); err != nil {
			return &deviceError{e.Device, err}
		}
	}
	if stream {
		if e.Bind.Port() != 0 {
			return nil
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	}
	level, option := unix.SOL_IP, unix.IP_RECVERR
	if e.Target.Addr().Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, 1))
}

// deviceError is why packets cannot leave by the device of bind_if.
type deviceError struct {
	device string
	err    error
}

func (e *deviceError) Error() string { return fmt.Sprintf("bind to device %s: %v", e.device, e.err) }

func (e *deviceError) Unwrap() error { return e.err }

// deadliner is a connection, or a socket as a file.
type deadliner interface{ SetDeadline(time.Time) error }

// bound has what is read from and written to a connection end with an error at the
// deadline, and at the end of ctx; the zero Time is no deadline. The caller calls release
// when it is done with the connection.
func bound(ctx context.Context, conn deadliner, deadline time.Time) (release func() bool, err error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // where it is closed already, nothing waits
	}), nil
}

// deadline is when the server has to have answered what begins now.
func (e Endpoint) deadline() time.Time {
	if e.Timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(e.Timeout)
}

// reason turns an error of the network into the one that people are shown: the system's
// ("connection refused", "no route to host"), "no answer within TIMEOUT", or, where the
// fault is this machine's, "bind to ADDRESS: …". Where ctx has ended it is ctx's.
func (e Endpoint) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var device *deviceError
	if errors.As(err, &device) {
		return e.own(ctx, device)
	}
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" {
		return e.own(ctx, fmt.Errorf("bind to %s: %w", e.bindString(), call.Err))
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return e.own(ctx, errno)
	}
	if isTimeout(err) {
		return as(fmt.Sprintf("no answer within %s", e.Timeout), os.ErrDeadlineExceeded)
	}
	return err
}

// worded is an error in other words.
type worded struct {
	words string
	err   error
}

func (w *worded) Error() string { return w.words }

func (w *worded) Unwrap() error { return w.err }

// as puts an error into other words.
func as(words string, err error) error { return &worded{words, err} }

// isTimeout says whether a deadline has passed: that of a dialer shows as
// os.ErrDeadlineExceeded or context.DeadlineExceeded, whichever part of it notices first.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

func (e Endpoint) bindString() string {
	if !e.Bind.Addr().IsValid() {
		return fmt.Sprintf("port %d", e.Bind.Port())
	}
	if e.Bind.Port() == 0 {
		return e.Bind.Addr().String()
	}
	return e.Bind.String()
}
