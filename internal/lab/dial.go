package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// firstPort is the first source port that a client uses.
const firstPort = 1024

// sockets are TCP sockets of a namespace that clients are to use, each bound to its
// port. A socket belongs for good to the namespace in which it was made, and only the
// making has to be done there: so many are made at a time. A thread that went there
// for each connection would cost more than the connection.
type sockets struct {
	mu    sync.Mutex
	ready []int
	port  int // the next one, counted from firstPort
}

// madeAtOnce is how many sockets are made at a time.
const madeAtOnce = 32

// take hands out a socket. Source ports are used one after the other: the kernel would
// come back to one after some thousand connections, and then what a director remembers
// of the earlier connection decides where the new one goes.
func (s *sockets) take(ns *Namespace) (fd int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		if err := ns.Do(s.fill); err != nil {
			return -1, err
		}
	}
	fd, s.ready = s.ready[0], s.ready[1:]
	return fd, nil
}

// fill makes sockets in the namespace of the calling thread.
func (s *sockets) fill() error {
	for range 1 << 16 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("make a client's socket: %w", err)
		}
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: firstPort + s.port%(1<<16-firstPort)})
		s.port++
		if err != nil {
			unix.Close(fd)
			if !errors.Is(err, unix.EADDRINUSE) {
				return fmt.Errorf("bind a client's socket: %w", err)
			}
			continue
		}
		if s.ready = append(s.ready, fd); len(s.ready) == madeAtOnce {
			return nil
		}
	}
	return errors.New("all source ports are in use")
}

// close closes those that nobody has taken: they would keep the namespace.
func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.ready {
		unix.Close(fd)
	}
	s.ready = nil
}

// dial connects to an IPv4 address and port from inside a namespace. What is read and
// written later ends with ctx, too.
func dial(ctx context.Context, ns *Namespace, address string) (*conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fd, err := ns.sockets.take(ns)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, err
	}
	c := &conn{File: os.NewFile(uintptr(fd), address)} // the runtime waits for it, without a thread
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	c.forget = context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	if err := c.connected(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// conn is a client's connection.
type conn struct {
	*os.File
	forget func() bool
}

func (c *conn) Close() error {
	c.forget()
	return c.File.Close()
}

// connected waits until the connection stands.
func (c *conn) connected() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || n != 0 {
			failed = errors.Join(err, unix.Errno(n))
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil // else there is nothing to tell yet
	})
	return errors.Join(err, failed)
}
