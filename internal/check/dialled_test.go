package check_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/check"
	"weir/internal/netlnk/nstest"
)

// crewOf runs Runners, which have so many slots together, until the test ends them.
type crewOf struct {
	t     *testing.T
	crew  *check.Crew
	end   context.CancelFunc
	slots chan struct{}
}

func newCrew(t *testing.T) *crewOf {
	ctx, end := context.WithCancel(t.Context())
	return &crewOf{t, check.NewCrew(ctx), end, make(chan struct{}, 10)}
}

// start begins to check a server, which is down at first, and returns its verdicts.
func (c *crewOf) start(target netip.AddrPort, timeout time.Duration) (*check.Runner, chan check.Verdict) {
	verdicts := make(chan check.Verdict, 100)
	r := &check.Runner{
		Checker: &check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: timeout}},
		Timing:  check.Timing{DelayLoop: 20 * time.Millisecond, Alpha: true},
		Report:  func(v check.Verdict) { verdicts <- v },
		Trouble: func(own *check.OwnError) { c.t.Errorf("%s: %v", target, own) },
		Slots:   c.slots, Log: slog.New(slog.DiscardHandler),
	}
	r.Start(c.crew)
	return r, verdicts
}

// stop ends all Runners, and makes sure that they have left nothing.
func (c *crewOf) stop() {
	c.t.Helper()
	c.end()
	c.crew.Wait()
	if n := len(c.slots); n != 0 {
		c.t.Errorf("%d checks have kept their slots", n)
	}
}

// full is a listener that answers nobody until one of those is accepted that wait for it.
func full(t *testing.T) (target netip.AddrPort, accept func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 0) // one may wait
	}
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	target = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(own.(*unix.SockaddrInet4).Port))
	waits, err := net.Dial("tcp", target.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waits.Close() })
	return target, func() {
		if got, _, err := unix.Accept(fd); err != nil {
			t.Error(err)
		} else {
			unix.Close(got)
		}
	}
}

// Runners of a crew make their connections together, and find out what Check finds out.
func TestRunnersConnect(t *testing.T) {
	up, l := listen(t, "127.0.0.1:0")
	up6, _ := listen(t, "[::1]:0")
	refused, closed := listen(t, "127.0.0.1:0")
	closed.Close()
	silent, _ := full(t)
	c := newCrew(t)
	for _, tt := range []struct {
		target netip.AddrPort
		want   string
	}{
		{up, ""}, {up6, ""}, {refused, "connection refused"}, {silent, "no answer within 300ms"},
	} {
		_, verdicts := c.start(tt.target, 300*time.Millisecond)
		v := <-verdicts
		if v.Up != (tt.want == "") || v.Tries != 1 || !v.Up && v.Reason.Error() != tt.want {
			t.Errorf("%v: %+v, want %q", tt.target, v, tt.want)
		}
		defer func() {
			if len(verdicts) > 0 {
				t.Errorf("%v: then %+v, want no other verdict", tt.target, <-verdicts)
			}
		}()
	}
	for range 10 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server read %d bytes, %v, want a reset", n, err)
		}
	}
	c.stop()
}

// A server that answers late is up.
func TestRunnersWaitForLateAnswers(t *testing.T) {
	target, accept := full(t)
	c := newCrew(t)
	_, verdicts := c.start(target, time.Minute)
	waitForDials(t, 1)
	accept() // the kernel sends the SYN again a second after the first
	if v := <-verdicts; !v.Up {
		t.Errorf("%+v, want up", v)
	}
	c.stop()
}

// A server that resets each connection as soon as it has accepted it is up, however late the
// check looks at it.
func TestRunnersTakeResetsForAccepted(t *testing.T) {
	target, l := listen(t, "127.0.0.1:0")
	reset := make(chan struct{}, 1000)
	go func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			_ = conn.SetLinger(0)
			_ = conn.Close()
			reset <- struct{}{}
		}
	}()
	c := newCrew(t)
	var all []chan check.Verdict
	for range 10 {
		_, verdicts := c.start(target, time.Minute)
		all = append(all, verdicts)
	}
	for range 300 {
		<-reset
	}
	c.stop()
	for _, verdicts := range all {
		if v := <-verdicts; !v.Up || len(verdicts) > 0 {
			t.Errorf("%+v and %d other verdicts, want it up all the time", v, len(verdicts))
		}
	}
}

// A probe gives a connection up that is not answered, and has its own time.
func TestRunnersGiveConnectionsUpForProbes(t *testing.T) {
	target, _ := full(t)
	c := newCrew(t)
	r, verdicts := c.start(target, 0)
	waitForDials(t, 1)
	r.Probe()
	if v := <-verdicts; v.Up || v.Reason.Error() != "no answer within 1s" {
		t.Errorf("%+v, want down within the time of a probe", v)
	}
	c.stop()
}

// Runners that are stopped while their servers are silent end at once, and leave no file and no
// goroutine.
func TestRunnersHangUp(t *testing.T) {
	target, _ := full(t)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	c := newCrew(t)
	var all []chan check.Verdict
	for range 5 {
		_, verdicts := c.start(target, time.Hour)
		all = append(all, verdicts)
	}
	waitForDials(t, 5)
	c.stop()
	for _, verdicts := range all {
		if len(verdicts) > 0 {
			t.Errorf("%+v, want no verdict", <-verdicts)
		}
	}
	nstest.WaitFor(t, "no file is left", func() bool { return openFiles(t) <= files })
	nstest.WaitFor(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// waitForDials waits until so many connections of this process are not answered.
func waitForDials(t *testing.T, n int) {
	t.Helper()
	nstest.WaitFor(t, "connections that wait for an answer", func() bool { return unanswered(t) >= n })
}

// unanswered counts the TCP sockets of this process in SYN_SENT.
func unanswered(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		var fd int
		if _, err := fmt.Sscan(f.Name(), &fd); err != nil {
			t.Fatal(err)
		}
		if info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO); err == nil && info.State == unix.BPF_TCP_SYN_SENT {
			n++
		}
	}
	return n
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
