package bfd

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A port can be listened on again while somebody else has its former sockets for a moment, as a
// program has that is being started.
func TestListenOnAPortThatIsStillInUse(t *testing.T) {
	defer func(d time.Duration) { inherited = d }(inherited)
	port := freePort(t)
	first, err := listen(port, func(datagram) {})
	if err != nil {
		t.Fatal(err)
	}
	var others []int
	for _, c := range first.conns {
		others = append(others, duplicate(t, c))
	}
	first.close()

	inherited = 0
	if r, err := listen(port, func(datagram) {}); !errors.Is(err, unix.EADDRINUSE) {
		if err == nil {
			r.close()
		}
		t.Fatalf("got %v, want %v: the test has nothing to wait for", err, unix.EADDRINUSE)
	}
	inherited = time.Minute // no machine is late by so much
	closed := time.AfterFunc(20*time.Millisecond, func() {
		for _, fd := range others {
			_ = unix.Close(fd)
		}
	})
	defer closed.Stop()
	again, err := listen(port, func(datagram) {})
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

// freePort is a port on which nobody listens.
func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

// duplicate is a second file descriptor of a socket.
func duplicate(t *testing.T, c syscall.Conn) (fd int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	controlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, controlErr); err != nil {
		t.Fatal(err)
	}
	return fd
}
