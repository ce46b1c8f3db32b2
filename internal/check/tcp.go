package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"weir/conf"
)

// TCP is TCP_CHECK: the server is up when it accepts a connection.
type TCP struct {
	// Target is connect_ip and connect_port.
	Target netip.AddrPort
	// Bind is bindto and bind_port: where the connection comes from. The kernel
	// chooses where the address is the zero Addr, and where the port is 0.
	Bind netip.AddrPort
	// Timeout is connect_timeout: how long the server has to accept. 0 is no limit
	// but the kernel's own.
	Timeout time.Duration
}

func newTCP(c conf.Check) Checker {
	return TCP{Target: c.Connect, Bind: netip.AddrPortFrom(c.Bind, 0), Timeout: c.ConnectTimeout}
}

func (c TCP) String() string { return string(conf.CheckTCP) + " " + c.Target.String() }

// Check connects, and closes at once. The error is the system's ("connection refused",
// "no route to host"), "no answer within TIMEOUT", or, where the fault is this
// machine's, "bind to ADDRESS: …". It leaves the weight as it is.
func (c TCP) Check(ctx context.Context) (Weight, error) {
	// The connection is closed at once: keep-alive probes would be of no use.
	d := net.Dialer{Timeout: c.Timeout, KeepAlive: -1}
	if c.Bind.Addr().IsValid() || c.Bind.Port() != 0 {
		d.LocalAddr = &net.TCPAddr{
			IP:   c.Bind.Addr().AsSlice(),
			Port: int(c.Bind.Port()),
			Zone: c.Bind.Addr().Zone(),
		}
	}
	conn, err := d.DialContext(ctx, "tcp", c.Target.String())
	if err != nil {
		return Weight{}, c.reason(ctx, err)
	}
	c.close(conn)
	return Weight{}, nil
}

// close ends the connection by a FIN, so that the server does not log a reset for each
// check. A fixed source port would then stay in TIME_WAIT, and the next check could not
// use it for a minute: there, a reset frees the port.
func (c TCP) close(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && c.Bind.Port() != 0 {
		// Where this fails, the connection is closed by a FIN; the next check then
		// reports that it cannot bind.
		_ = tcp.SetLinger(0)
	}
	// The server has accepted: an error of the close says nothing about it.
	_ = conn.Close()
}

// reason turns the error of a failed connect into the one that people are shown.
func (c TCP) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" {
		return own(ctx, fmt.Errorf("bind to %s: %w", c.bindString(), call.Err), c.Target, c.Bind.Addr())
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return own(ctx, errno, c.Target, c.Bind.Addr()) // "connection refused", "no route to host"
	}
	// The dialer's deadline shows as os.ErrDeadlineExceeded or
	// context.DeadlineExceeded, whichever part of it notices first.
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer within %s", c.Timeout)
	}
	return err
}

func (c TCP) bindString() string {
	if !c.Bind.Addr().IsValid() {
		return fmt.Sprintf("port %d", c.Bind.Port())
	}
	if c.Bind.Port() == 0 {
		return c.Bind.Addr().String()
	}
	return c.Bind.String()
}
