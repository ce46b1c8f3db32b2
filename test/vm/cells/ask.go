package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/vishvananda/netns"
)

// patience is how long a connection may stand still; the guest may be emulated, on a machine
// that has much else to do.
const patience = time.Minute

// megabyte is what a server answers, after its name.
var megabyte = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

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
				_, _ = conn.Write(append([]byte(s.namespace()+"\n"), megabyte...))
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
	got, err := io.ReadAll(&patient{conn})
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(got), err)
	}
	if want := append([]byte(s.namespace()+"\n"), megabyte...); !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came, want %d and each the same", len(got), len(want))
	}
	return nil
}

// patient is a connection that may take long, but not stand still.
type patient struct{ net.Conn }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}
