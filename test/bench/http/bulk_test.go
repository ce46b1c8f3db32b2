package http

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	bulkPort    = 81
	bulkStreams = 4
	bulkBytes   = 64 << 20 // per stream
)

// serveBulk sends bulkBytes on a connection that begins with a d (download), and reads as
// many on one that begins with a u (upload).
func (n *network) serveBulk(b *testing.B) {
	var l net.Listener
	var err error
	n.server.Do(func() { l, err = net.Listen("tcp", fmt.Sprintf(":%d", bulkPort)) })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				way := make([]byte, 1)
				if _, err := io.ReadFull(conn, way); err != nil {
					return
				}
				if way[0] == 'd' {
					send(conn)
				} else if receive(conn) == nil {
					conn.Write(way) // all bytes have arrived
				}
			}()
		}
	}()
}

// bulk is how many microseconds a megabyte takes, with several streams at once.
func (n *network) bulk(b *testing.B, addr string, way byte) float64 {
	b.Helper()
	var streams errgroup.Group
	begun := time.Now()
	for range bulkStreams {
		var conn net.Conn
		var err error
		n.client.Do(func() { conn, err = net.DialTimeout("tcp", fmt.Sprintf("%s:%d", addr, bulkPort), 5*time.Second) })
		if err != nil {
			b.Fatal(err)
		}
		streams.Go(func() error {
			defer conn.Close()
			if _, err := conn.Write([]byte{way}); err != nil {
				return err
			}
			if way == 'd' {
				return receive(conn)
			}
			if err := send(conn); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, make([]byte, 1))
			return err
		})
	}
	if err := streams.Wait(); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(begun).Microseconds()) / (bulkStreams * bulkBytes >> 20)
}

func send(conn net.Conn) error {
	chunk := make([]byte, 256<<10)
	for sent := 0; sent < bulkBytes; sent += len(chunk) {
		if _, err := conn.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

func receive(conn net.Conn) error {
	chunk := make([]byte, 256<<10)
	for got := 0; got < bulkBytes; {
		n, err := conn.Read(chunk)
		if err != nil {
			return err
		}
		got += n
	}
	return nil
}
