package check

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
)

// A raw socket hears everybody until it is connected. However much that was, the answer to its
// own request finds room.
func TestRawSocketForgetsOthersAnswers(t *testing.T) {
	ns := nstest.New(t, "raw")
	ns.Do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		other, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(other)
		ping := func(fd int, c Ping) (request []byte) {
			request = c.request()
			if err := unix.Sendto(fd, request, 0, sockaddr(c.Target)); err != nil {
				t.Fatal(err)
			}
			return request
		}
		for range 1000 {
			ping(other, Ping{Endpoint{Target: netip.MustParseAddrPort("127.0.0.9:0")}})
		}
		c := Ping{Endpoint{Target: netip.MustParseAddrPort("127.0.0.7:0")}}
		if err := connect(fd, unix.SOCK_RAW, c.Target); err != nil {
			t.Fatal(err)
		}
		request, packet := ping(fd, c), make([]byte, 256)
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30000); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
			n, err := unix.Read(fd, packet)
			if err != nil {
				t.Fatalf("the answer is not there: %v", err)
			}
			if c.answers(packet[:n], request, true) {
				return
			}
		}
	})
}
