package traffic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
)

// The bytes of a datagram that is not fragmented, and of one that has six fragments.
const small, big = 100, 8 << 10

// Datagrams of 8 KB and their answers arrive whole, with their fragments in order and in
// reverse order.
func TestBigDatagrams(t *testing.T) {
	for _, hook := range []string{"native", "generic", "tc"} {
		for _, two := range []bool{false, true} {
			t.Run(fmt.Sprint(hook, " two networks ", two), func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t, hook, two, narrow)
				for _, k := range kinds {
					if k.method == "TUN" || k.proto != "UDP" {
						continue
					}
					for _, order := range []struct {
						name string
						send func(*net.UDPConn, []byte) error
					}{{"in order", sendWhole}, {"reversed", n.sendReversed}} {
						t.Run(fmt.Sprint(k.method, " ", k.family, " ", order.name), func(t *testing.T) {
							nstest.WaitFor(t, "the way to the server is known", func() bool {
								return n.ask(k, small, 100*time.Millisecond, sendWhole) == nil
							})
							if err := n.ask(k, big, 10*time.Second, order.send); err != nil {
								t.Fatal(err)
							}
						})
					}
				}
			})
		}
	}
}

// ask sends a datagram to a service, whose server answers with another.
func (n *network) ask(k kind, size int, patience time.Duration, send func(*net.UDPConn, []byte) error) error {
	var l, conn *net.UDPConn
	name, listen := k.server(n)
	err := n.Node(name).Namespace().Do(func() (err error) {
		l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	err = n.Client().Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.service()))
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline := time.Now().Add(patience)
	if err := errors.Join(l.SetDeadline(deadline), conn.SetDeadline(deadline)); err != nil {
		return err
	}
	if err := send(conn, up[:size]); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	from, err := receive(l, up[:size])
	if err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	if _, err := l.WriteToUDPAddrPort(down[:size], from); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := receive(conn, down[:size]); err != nil {
		return fmt.Errorf("the client: %w", err)
	}
	return nil
}

// receive waits for a datagram and compares it with this one.
func receive(conn *net.UDPConn, want []byte) (from netip.AddrPort, err error) {
	buf := make([]byte, 2*big)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		return from, err
	}
	if !bytes.Equal(buf[:n], want) {
		return from, fmt.Errorf("%d bytes came, want %d others", n, len(want))
	}
	return from, nil
}

func sendWhole(conn *net.UDPConn, payload []byte) error {
	_, err := conn.Write(payload)
	return err
}

// sendReversed sends the fragments of the connection's next datagram, the last one
// first.
func (n *network) sendReversed(conn *net.UDPConn, payload []byte) error {
	from, to := conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn.RemoteAddr().(*net.UDPAddr).AddrPort()
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.Addr().As16()})
	if to.Addr().Is4() {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4()}
	}
	return n.Client().Do(func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range slices.Backward(fragments(from, to, payload)) {
			if err := unix.Sendto(fd, f, 0, at); err != nil {
				return err
			}
		}
		return nil
	})
}

const fragmentBytes = 1440 // of the datagram, in each fragment but the last

// fragments are the IP packets of a datagram, with the complete UDP checksum. Their
// identification is the source port.
func fragments(from, to netip.AddrPort, payload []byte) (list [][]byte) {
	length := uint16(8 + len(payload))
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = append(binary.BigEndian.AppendUint16(udp, length), 0, 0)
	udp = append(udp, payload...)
	pseudo := slices.Concat(from.Addr().AsSlice(), to.Addr().AsSlice(), []byte{0, unix.IPPROTO_UDP}, udp[4:6], udp)
	binary.BigEndian.PutUint16(udp[6:], ^onesSum(pseudo))
	for at := 0; at < len(udp); at += fragmentBytes {
		piece := udp[at:min(at+fragmentBytes, len(udp))]
		more := at+len(piece) < len(udp)
		if from.Addr().Is4() {
			list = append(list, append(fragment4(from, to.Addr(), at, len(piece), more), piece...))
		} else {
			list = append(list, append(fragment6(from, to.Addr(), at, len(piece), more), piece...))
		}
	}
	return list
}

// fragment4 is the IPv4 header of a fragment (RFC 791); the kernel fills in its checksum.
func fragment4(from netip.AddrPort, to netip.Addr, at, bytes int, more bool) []byte {
	h := make([]byte, 12, 20+fragmentBytes)
	h[0], h[8], h[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(h[2:], uint16(20+bytes))
	binary.BigEndian.PutUint16(h[4:], from.Port())
	binary.BigEndian.PutUint16(h[6:], uint16(at/8))
	if more {
		h[6] |= 0x20
	}
	return slices.Concat(h, from.Addr().AsSlice(), to.AsSlice())
}

// fragment6 is the IPv6 header and the Fragment header of a fragment (RFC 8200 section 4.5).
func fragment6(from netip.AddrPort, to netip.Addr, at, bytes int, more bool) []byte {
	h := []byte{0x60, 0, 0, 0, 0, 0, unix.IPPROTO_FRAGMENT, 64}
	binary.BigEndian.PutUint16(h[4:], uint16(8+bytes))
	f := []byte{unix.IPPROTO_UDP, 0, byte(at >> 8), byte(at), 0, 0, byte(from.Port() >> 8), byte(from.Port())}
	if more {
		f[3] |= 1
	}
	return slices.Concat(h, from.Addr().AsSlice(), to.AsSlice(), f)
}

// onesSum is the ones' complement sum of an even number of bytes (RFC 1071).
func onesSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}
