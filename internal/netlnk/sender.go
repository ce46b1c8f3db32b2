package netlnk

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is one Ethernet frame to send. The kernel writes its header.
type Frame struct {
	// EtherType is in host byte order.
	EtherType uint16
	To        net.HardwareAddr
	Payload   []byte
}

// sendWait bounds how long Send waits for room in a device's queue.
const sendWait = time.Second

// Sender sends frames from one device, by one packet socket. It receives nothing. It is
// bound to the device's index: of a device that was made anew under its name it must be
// opened anew.
type Sender struct {
	Link Link
	file *os.File
	conn syscall.RawConn
}

// OpenSender opens the socket; the error wraps ErrNoDevice when there is no such device.
// The caller has to Close it. Closing takes the kernel some 10 ms, because it waits until
// no CPU uses the socket any more (packet_release in net/packet/af_packet.c).
func OpenSender(dev string) (*Sender, error) {
	l, err := LinkByName(dev)
	if err != nil {
		return nil, err
	}
	// Protocol 0: the socket receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "packet")
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet socket: %w", err), f.Close())
	}
	return &Sender{Link: l, file: f, conn: conn}, nil
}

// Send sends the frames in their order, and says how many it has sent; the error is about
// the one after them. It waits while the socket's buffer is full, for a second at most. The
// error wraps the kernel's errno: ENXIO where the device is gone, ENETDOWN where it is
// down, ENOBUFS where its queue is full.
func (s *Sender) Send(frames []Frame) (sent int, err error) {
	if err := s.file.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return 0, err
	}
	for sent < len(frames) {
		var failed error
		err := s.conn.Write(func(fd uintptr) bool {
			for sent < len(frames) {
				if failed = s.send(int(fd), &frames[sent]); failed != nil {
					return failed != unix.EAGAIN
				}
				sent++
			}
			return true
		})
		if err = errors.Join(err, failed); err != nil && !errors.Is(err, unix.EINTR) {
			return sent, err
		}
	}
	return sent, nil
}

func (s *Sender) send(fd int, f *Frame) error {
	to := unix.SockaddrLinklayer{Protocol: f.EtherType>>8 | f.EtherType<<8, Ifindex: s.Link.Index, Halen: uint8(len(f.To))}
	copy(to.Addr[:], f.To)
	return unix.Sendto(fd, f.Payload, unix.MSG_DONTWAIT, &to)
}

// Close closes the socket.
func (s *Sender) Close() error { return s.file.Close() }
