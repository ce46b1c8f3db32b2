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
)

// TCP is TCP_CHECK: the server is up when it accepts a connection.
type TCP struct {
	// Target is connect_ip and connect_port.
	Target netip.AddrPort
	// Bind is bindto and bind_port; the zero address or port leaves the choice
	// to the kernel.
	Bind netip.AddrPort
	// Timeout is connect_timeout.
	Timeout time.Duration
}

func (c TCP) String() string { return "TCP_CHECK " + c.Target.String() }

// Check connects, and closes at once.
func (c TCP) Check(ctx context.Context) error {
	// Keep-alive probes make no sense on a connection that lives no second.
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
		return c.reason(ctx, err)
	}
	c.close(conn)
	return nil
}

// close ends the connection in order, by a FIN: a server's log shall not fill
// with resets. With a fixed source port that would leave the port in TIME_WAIT,
// where the next check could not use it for a minute; there, a reset frees it.
func (c TCP) close(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && c.Bind.Port() != 0 {
		// Failing leaves an ordinary close; the next check then tells why it
		// cannot bind.
		_ = tcp.SetLinger(0)
	}
	// The server has accepted: how the end of the connection fares says
	// nothing about it.
	_ = conn.Close()
}

// reason puts a failed connect into the words for people.
func (c TCP) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" {
		return fmt.Errorf("bind to %s: %w", c.bindString(), call.Err)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno // "connection refused", "no route to host"
	}
	// The dialer's own deadline has two faces, by which part of it notices
	// first: os.ErrDeadlineExceeded and context.DeadlineExceeded.
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
