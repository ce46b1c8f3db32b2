package http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	pacedConnections = 16
	pacedSamples     = 24_000
)

var question = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

// paced sends requests at a fixed rate, each at its scheduled time whether or not those
// before it are answered. It returns the median and the 99th percentile of the time from the
// scheduled moment to the answer, in microseconds. The time for which a request waits for a
// free connection counts, too, so that a balancer that falls behind cannot hide it.
func (n *network) paced(b *testing.B, addr string, rate float64) (p50, p99 float64) {
	b.Helper()
	// Each connection has its own thread, which sleeps and blocks: the runtime's timers are too coarse.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(pacedConnections + 2))
	begin := time.Now().Add(100 * time.Millisecond)
	every := time.Duration(float64(time.Second) / rate)
	waits := make([][]time.Duration, pacedConnections)
	var all errgroup.Group
	for i := range waits {
		conn, err := n.dialPaced(addr)
		if err != nil {
			b.Fatal(err)
		}
		all.Go(func() (err error) {
			defer unix.Close(conn)
			waits[i], err = askPaced(conn, begin.Add(time.Duration(i)*every), pacedConnections*every)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	sorted := slices.Sorted(slices.Values(slices.Concat(waits...)))
	at := func(share float64) float64 {
		return float64(sorted[int(share*float64(len(sorted)))].Nanoseconds()) / 1e3
	}
	return at(0.5), at(0.99)
}

// dialPaced opens a connection as a blocking socket.
func (n *network) dialPaced(addr string) (fd int, err error) {
	var conn net.Conn
	n.client.Do(func() { conn, err = net.DialTimeout("tcp", addr+":80", 5*time.Second) })
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	fd, err = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return fd, unix.SetNonblock(fd, false)
}

// askPaced sends the requests of one connection: the first at its time, the others at
// intervals after that.
func askPaced(fd int, due time.Time, every time.Duration) (waits []time.Duration, err error) {
	// The thread must not end: a proxy that start has started from it would end, too.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
	answer := make([]byte, 4096)
	waits = make([]time.Duration, 0, pacedSamples/pacedConnections)
	for len(waits) < cap(waits) {
		for left := time.Until(due); left > 0; left = time.Until(due) {
			pause := unix.NsecToTimespec(left.Nanoseconds())
			if err := unix.Nanosleep(&pause, nil); err != nil && err != unix.EINTR {
				return nil, err
			}
		}
		if _, err := unix.Write(fd, question); err != nil {
			return nil, fmt.Errorf("ask for the %dth time: %w", len(waits)+1, err)
		}
		for got := 0; !bytes.HasSuffix(answer[:got], []byte("\r\n\r\nok\n")); {
			n, err := unix.Read(fd, answer[got:])
			if err == unix.EINTR {
				continue
			}
			if err == nil && n == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return nil, fmt.Errorf("the %dth answer: %w", len(waits)+1, err)
			}
			got += n
		}
		waits = append(waits, time.Since(due))
		due = due.Add(every)
	}
	return waits, nil
}
