package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var ports = []int{53, 80, 443, 8080}

// servers answer every line and every datagram with "NAME PORT CLIENT", and send that once at
// the beginning of a TCP connection.
type servers struct {
	open  atomic.Int64 // the number of their TCP connections
	conns sync.Map     // these connections
}

func serve() (*servers, error) {
	s := &servers{}
	for n := 1; n <= serverCount; n++ {
		name := fmt.Sprintf("rs%d", n)
		addrs := append([]string{fmt.Sprintf("10.0.2.%d", n), fmt.Sprintf("fd00:2::%d", n)}, vips...)
		if err := in(name, func() error { return s.listen(name, addrs) }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *servers) listen(name string, addrs []string) error {
	for _, p := range ports {
		port := strconv.Itoa(p)
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		go s.tcp(name+" "+port, l)
		for _, a := range addrs { // a socket for each, which answers from the address that was asked
			u, err := net.ListenPacket("udp", net.JoinHostPort(a, port))
			if err != nil {
				return err
			}
			go udp(name+" "+port, u)
		}
	}
	return nil
}

func (s *servers) tcp(name string, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.open.Add(1)
		s.conns.Store(c, nil)
		go func() {
			defer s.open.Add(-1)
			defer s.conns.Delete(c)
			defer c.Close()
			// The socket takes both families, and IPv4 clients have mapped addresses.
			line := name + " " + strings.Replace(c.RemoteAddr().String(), "[::ffff:", "[", 1) + "\n"
			r := bufio.NewReader(c)
			for err := error(nil); err == nil; _, err = r.ReadString('\n') {
				if _, err := c.Write([]byte(line)); err != nil {
					return
				}
			}
		}()
	}
}

func udp(name string, u net.PacketConn) {
	b := make([]byte, 512)
	for {
		_, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		// That a client has closed its connection is no error of the server.
		_, _ = u.WriteTo([]byte(name+" "+from.String()+"\n"), from)
	}
}

// abort resets all connections, so that the next play begins with none.
func (s *servers) abort() {
	s.conns.Range(func(c, _ any) bool {
		_ = c.(*net.TCPConn).SetLinger(0) // it may be closed already
		c.(*net.TCPConn).Close()
		return true
	})
	s.settle(0)
}

// settle waits until the servers have no more than this many connections, but not for ever: a
// connection whose packets are dropped stays open.
func (s *servers) settle(most int64) {
	for end := time.Now().Add(500 * time.Millisecond); s.open.Load() > most && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}
