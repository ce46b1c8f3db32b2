package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a client waits, on a machine that may be busy. An ICMPv6 error may be
// lost while connect holds the socket's lock: then only the second SYN, after a second, is
// seen to be refused.
const patience = 2500 * time.Millisecond

// dial opens a TCP connection and returns who answers.
func dial(from, to netip.AddrPort) (*net.TCPConn, string) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: patience, KeepAlive: -1}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		return nil, failure(err)
	}
	who := answer(c, from, to)
	return c.(*net.TCPConn), who
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
