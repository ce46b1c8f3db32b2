package traffic

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"weir/internal/lab"
)

const (
	megabytes = 20
	datagram  = 1400 // bytes
	patience  = 60 * time.Second
)

// stream is a reproducible stream of random bytes.
func stream(seed byte) []byte {
	b := make([]byte, megabytes<<20)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// up is the stream that clients send, down the one that they get.
var up, down = stream(1), stream(2)

// carryTCP sends a stream to a service; the server, which listens in the namespace, answers
// with the stream's hash and with another stream. Both are compared with what was sent.
func carryTCP(client, server *lab.Namespace, to netip.AddrPort, listen netip.AddrPort) error {
	var l *net.TCPListener
	err := server.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(listen))
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- serveTCP(l) }()
	var conn net.Conn
	err = client.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", to.String(), patience)
		return err
	})
	if err != nil {
		l.Close()
		return errors.Join(err, <-served)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(up); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Errorf("receive, after %d bytes: %w", len(got), err)
	}
	hash := sha256.Sum256(up)
	if !bytes.Equal(got, append(hash[:], down...)) {
		return fmt.Errorf("%d bytes came back, want %d and each the same", len(got), len(hash)+len(down))
	}
	return <-served
}

func serveTCP(l *net.TCPListener) error {
	conn, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, conn); err != nil {
		return err
	}
	_, err = conn.Write(append(hash.Sum(nil), down...))
	return err
}

// carryUDP sends the same stream as datagrams. Each is sent when the one before it has been
// answered by as many bytes of the other stream.
func carryUDP(client, server *lab.Namespace, to netip.AddrPort, listen netip.AddrPort) error {
	var l *net.UDPConn
	err := server.Do(func() (err error) {
		l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
		return err
	})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serveUDP(l) }()
	err = askUDP(client, to)
	l.Close()
	return errors.Join(err, <-served)
}

func askUDP(client *lab.Namespace, to netip.AddrPort) error {
	var conn *net.UDPConn
	err := client.Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 2*datagram)
	for at := 0; at+datagram <= len(up); at += datagram {
		if _, err := conn.Write(up[at:][:datagram]); err != nil {
			return fmt.Errorf("send datagram %d: %w", at/datagram, err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("the answer to datagram %d: %w", at/datagram, err)
		}
		if !bytes.Equal(buf[:n], down[at:][:datagram]) {
			return fmt.Errorf("the answer to datagram %d has %d bytes, want %d others", at/datagram, n, datagram)
		}
	}
	return nil
}

func serveUDP(l *net.UDPConn) error {
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buf := make([]byte, 2*datagram)
	for at := 0; ; at += datagram {
		n, from, err := l.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("datagram %d: %w", at/datagram, err)
		}
		if !bytes.Equal(buf[:n], up[at:][:datagram]) {
			return fmt.Errorf("datagram %d came with %d bytes, want %d others", at/datagram, n, datagram)
		}
		if _, err := l.WriteToUDPAddrPort(down[at:][:datagram], from); err != nil {
			return fmt.Errorf("answer datagram %d: %w", at/datagram, err)
		}
	}
}
