package check

import (
	"context"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// TCP is TCP_CHECK: the server is up when it accepts a connection.
type TCP struct{ Endpoint }

func newTCP(c conf.Check, _ *Shared) Checker { return &TCP{endpointOf(c)} }

func (c TCP) String() string { return string(conf.CheckTCP) + " " + c.Target.String() }

// Check connects, and closes at once, by a reset: after a FIN each check would leave its port
// in TIME_WAIT for a minute, and thousands of checks a second would use all of them up. The error is that of Endpoint.reason. It leaves the
// weight as it is.
func (c TCP) Check(ctx context.Context) (Weight, error) {
	if err := c.connect(ctx); err != nil {
		return Weight{}, c.reason(ctx, err)
	}
	return Weight{}, nil
}

// connect does by hand what a net.Dialer takes twice as many system calls for.
func (c TCP) connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fd, to, err := c.begin()
	if err != unix.EINPROGRESS {
		return err
	}
	socket := os.NewFile(uintptr(fd), "tcp")
	defer socket.Close() // what the server had to answer is known by then
	release, err := bound(ctx, socket, c.deadline())
	if err != nil {
		return err
	}
	defer release()
	if err := c.connected(socket, to); err != nil {
		return err
	}
	resetAtClose(fd)
	return nil
}

// begin begins to connect. The error is unix.EINPROGRESS where it has begun: only then fd is one
// that the caller is to close.
func (c TCP) begin() (fd int, to unix.Sockaddr, err error) {
	fd, err = c.socket(unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, nil, err
	}
	to = sockaddr(c.Target)
	err = unix.Connect(fd, to)
	if err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return -1, nil, os.NewSyscallError("connect", err)
	}
	return fd, to, err
}

// connected waits until a connection that has begun is made, or has failed.
func (c TCP) connected(socket *os.File, to unix.Sockaddr) (err error) {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	failed := conn.Write(func(fd uintptr) bool {
		err = outcome(int(fd), to)
		return err != unix.EALREADY
	})
	if failed != nil {
		return failed
	}
	return os.NewSyscallError("connect", err)
}

// outcome is what became of a connection that has begun: the kernel says it when it is asked to
// connect again. A server that resets a connection has accepted it before: to one that does not
// accept it, the kernel says that it is refused (net/ipv4/tcp_input.c, tcp_reset).
func outcome(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if err == unix.ECONNRESET || err == unix.EPIPE {
		return nil
	}
	return err
}

// hangUp ends a TCP connection by a FIN, so that the server does not log a reset for each
// check.
func (e Endpoint) hangUp(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && e.Bind.Port() != 0 {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = control(raw, func(fd int) error { e.freePort(fd); return nil })
		}
	}
	// What the server had to answer is known: an error of the close says nothing about it.
	_ = conn.Close()
}

// freePort has a connection end by a reset where its source port is fixed: the port would
// stay in TIME_WAIT otherwise, and the next check could not use it for a minute.
func (e Endpoint) freePort(fd int) {
	if e.Bind.Port() != 0 || e.Reset {
		resetAtClose(fd)
	}
}

// resetAtClose has a connection end by a reset. Where this fails it is closed by a FIN; with a
// fixed port the next check then reports that it cannot bind.
func resetAtClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
