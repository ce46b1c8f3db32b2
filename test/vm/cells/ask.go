package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// patience is how long a connection may stand still; the guest may be emulated, on a machine
// that has much else to do.
const patience = time.Minute

// bulk is what a client sends, and what a server answers after its name.
var bulk = bytes.Repeat([]byte("0123456789abcdef"), 1<<15)

// in runs f on a thread in a network namespace.
func in(name string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with f
		handle, err := netns.GetFromName(name)
		if err == nil {
			defer handle.Close()
			err = netns.Set(handle)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// serve answers each connection to port 80 of a server, until the process ends.
func serve(s end) error {
	var l net.Listener
	err := in(s.namespace(), func() (err error) {
		l, err = net.Listen("tcp", ":80")
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if got := make([]byte, len(bulk)); read(conn, got) == nil && bytes.Equal(got, bulk) {
					_, _ = conn.Write(append([]byte(s.namespace()+"\n"), bulk...))
				}
			}()
		}
	}()
	return nil
}

// ask connects a client to a server's service, and compares what comes.
func ask(c, s end, method, family string) error {
	var conn net.Conn
	err := in(c.namespace(), func() (err error) {
		conn, err = net.DialTimeout("tcp", net.JoinHostPort(s.vip(method, family), "80"), patience)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(bulk); err != nil {
		return err
	}
	got, err := io.ReadAll(&patient{conn})
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(got), err)
	}
	if want := append([]byte(s.namespace()+"\n"), bulk...); !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came, want %d and each the same", len(got), len(want))
	}
	return nil
}

// refused asks for a service that has no server: the client is told so by an ICMP error, which
// its kernel takes only where the checksum is right.
func refused(c end, network, address string) error {
	var conn net.Conn
	err := in(c.namespace(), func() (err error) {
		conn, err = net.DialTimeout(network, address, patience)
		return err
	})
	if err == nil {
		defer conn.Close()
		_, err = conn.Write(bulk[:100])
	}
	if err == nil {
		_, err = (&patient{conn}).Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%v, want connection refused", err)
	}
	return nil
}

func read(conn net.Conn, b []byte) error {
	_, err := io.ReadFull(&patient{conn}, b)
	return err
}

// patient is a connection that may take long, but not stand still.
type patient struct{ net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}
