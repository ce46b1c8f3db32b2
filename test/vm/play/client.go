package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a client waits, on a machine that may be busy.
const patience = 2500 * time.Millisecond

// dial opens a TCP connection and returns who answers. It sends one SYN where that is refused:
// an ICMP error that comes while connect holds the socket's lock stands in SO_ERROR, and Linux
// would send the SYN again, which may find a server that is no longer full.
func dial(from, to netip.AddrPort) (*net.TCPConn, string) {
	fd, err := unix.Socket(familyOf(to), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, failure(err)
	}
	file := os.NewFile(uintptr(fd), to.String())
	defer file.Close()
	if err := unix.Bind(fd, sockaddr(from)); err != nil {
		return nil, failure(err)
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return nil, failure(err)
	}
	end := time.Now().Add(patience)
	for ready := 0; ; {
		number, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			return nil, failure(err)
		case number != 0:
			return nil, failure(unix.Errno(number))
		case time.Now().After(end):
			return nil, failure(os.ErrDeadlineExceeded)
		}
		if ready == 1 {
			break
		}
		ready, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(time.Until(end).Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, failure(err)
		}
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, failure(err)
	}
	return c.(*net.TCPConn), answer(c, from, to)
}

func familyOf(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// answer reads one line and returns who has sent it: the server's name, with its port where
// that is not the one that the client connected to, and with the client's address as the
// server sees it where that is not the client's own.
func answer(c net.Conn, from, to netip.AddrPort) string {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return failure(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return failure(err)
	}
	f := strings.Fields(line)
	if len(f) != 3 {
		return "garbled"
	}
	if f[1] != strconv.Itoa(int(to.Port())) {
		f[0] += ":" + f[1]
	}
	if a, err := netip.ParseAddrPort(f[2]); err != nil || netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) != from {
		f[0] += "(" + f[2] + ")"
	}
	return f[0]
}

// ask sends a line or a datagram, and returns who answers.
func ask(c net.Conn, from, to netip.AddrPort) string {
	if _, err := c.Write([]byte("?\n")); err != nil {
		return failure(err)
	}
	return answer(c, from, to)
}

func dialUDP(from, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(from)}).Dial("udp", to.String())
}

// failure is the word of the scenarios for an error.
func failure(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF):
		return "reset"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error:" + strings.ReplaceAll(err.Error(), " ", "_")
}
