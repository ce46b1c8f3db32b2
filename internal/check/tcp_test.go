package check_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/check"
	"weir/internal/netlnk/nstest"
)

// listen opens a listener on loopback, which the test accepts from.
func listen(t *testing.T, addr string) (netip.AddrPort, *net.TCPListener) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return netip.MustParseAddrPort(l.Addr().String()), l.(*net.TCPListener)
}

func TestTCPUp(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		target, _ := listen(t, addr)
		if _, err := (check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: 5 * time.Second}}).Check(t.Context()); err != nil {
			t.Errorf("%v: %v, want up", target, err)
		}
	}
}

func TestTCPRefused(t *testing.T) {
	target, l := listen(t, "127.0.0.1:0")
	l.Close()
	_, err := check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: 5 * time.Second}}.Check(t.Context())
	if err == nil || err.Error() != "connection refused" {
		t.Errorf("got %v, want connection refused", err)
	}
}

// The server sees the connection come about and end by a reset.
func TestTCPEndsWithReset(t *testing.T) {
	target, l := listen(t, "127.0.0.1:0")
	if _, err := (check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: 5 * time.Second}}).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server read %d bytes, %v, want a reset", n, err)
	}
}

func TestTCPBind(t *testing.T) {
	target, l := listen(t, "127.0.0.1:0")
	free, probe := listen(t, "127.0.0.3:0") // a port that nobody uses
	probe.Close()
	tests := []struct {
		name string
		bind netip.AddrPort
		want string
	}{
		{"address", netip.MustParseAddrPort("127.0.0.2:0"), "127.0.0.2:"},
		{"address and port", free, free.String()},
		// The port is not occupied by a connection in TIME_WAIT of the last check.
		{"address and port again", free, free.String()},
		{"port", netip.AddrPortFrom(netip.Addr{}, free.Port()), "127.0.0.1:" + free.String()[len("127.0.0.3:"):]},
	}
	for _, tt := range tests {
		c := check.TCP{Endpoint: check.Endpoint{Target: target, Bind: tt.bind, Timeout: 5 * time.Second}}
		if _, err := c.Check(t.Context()); err != nil {
			t.Errorf("%s: %v, want up", tt.name, err)
			continue
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if got := conn.RemoteAddr().String(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: the server saw %s, want %s", tt.name, got, tt.want)
		}
	}
	c := check.TCP{Endpoint: check.Endpoint{Target: target, Bind: netip.MustParseAddrPort("203.0.113.9:0"), Timeout: time.Second}}
	want := "bind to 203.0.113.9: cannot assign requested address"
	if _, err := c.Check(t.Context()); err == nil || err.Error() != want {
		t.Errorf("foreign source address: %v, want %q", err, want)
	}
}

// The errors of servers that do not answer, do not exist, or cannot be reached.
func TestTCPUnreachable(t *testing.T) {
	near, far := nstest.New(t, "near"), nstest.New(t, "far")
	nstest.Veth(near, "ens160", far, "ens160")
	near.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
	far.IP("address", "add", "192.168.25.32/24", "dev", "ens160")
	// Nobody has this MAC address, so that connections to it are never answered.
	near.IP("neighbour", "add", "192.168.25.77", "lladdr", "02:00:00:00:00:77", "dev", "ens160", "nud", "permanent")
	near.IP("route", "add", "unreachable", "198.51.100.0/24")
	near.Batch("address add 2001:db8:25::31/64 dev ens160 nodad", "route add 2001:db8:99::/64 via 2001:db8:25::32", "route add prohibit 2001:db8:98::/64")
	far.Batch("address add 2001:db8:25::32/64 dev ens160 nodad", "route add prohibit 2001:db8:99::/64")
	far.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	})
	tests := []struct {
		name, target, want string
		own                bool // it says nothing about the server
	}{
		{"silent", "192.168.25.77:80", "no answer within 300ms", false},
		{"nobody has the address", "192.168.25.88:80", "no route to host", false},
		{"unreachable by route", "198.51.100.1:80", "no route to host", true},
		{"no route at all", "203.0.113.1:80", "network is unreachable", true},
		{"closed port", "192.168.25.32:80", "connection refused", false},
		{"prohibited by a router", "[2001:db8:99::1]:80", "permission denied", false},
		{"prohibited by a route", "[2001:db8:98::1]:80", "permission denied", true},
	}
	near.Do(func() {
		setNeighbour(t, "mcast_solicit", "1") // one ARP request, then
		setNeighbour(t, "retrans_time_ms", "100")
		for _, tt := range tests {
			c := check.TCP{Endpoint: check.Endpoint{Target: netip.MustParseAddrPort(tt.target), Timeout: 300 * time.Millisecond}}
			if tt.want == "no route to host" || tt.want == "permission denied" {
				c.Timeout = 5 * time.Second
			}
			start := time.Now()
			_, err := c.Check(t.Context())
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			if own := (*check.OwnError)(nil); errors.As(err, &own) != tt.own {
				t.Errorf("%s: this machine's own trouble: %v, want %v", tt.name, !tt.own, tt.own)
			}
			if took := time.Since(start); tt.name == "silent" && took < c.Timeout {
				t.Errorf("%s: gave up after %v, want the whole connect_timeout", tt.name, took)
			}
		}
	})
}

func setNeighbour(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv4/neigh/ens160/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func TestTCPCancelled(t *testing.T) {
	target, _ := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: time.Second}}).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

func TestTCPString(t *testing.T) {
	for _, target := range []string{"192.168.25.32:80", "[fd25::32]:80"} {
		if got := (check.TCP{Endpoint: check.Endpoint{Target: netip.MustParseAddrPort(target)}}).String(); got != "TCP_CHECK "+target {
			t.Errorf("got %q, want TCP_CHECK %s", got, target)
		}
	}
}

// A Runner with a real server that stops and starts again.
func TestRunnerWithRealServer(t *testing.T) {
	target, l := listen(t, "127.0.0.1:0")
	verdicts := make(chan check.Verdict)
	r := check.Runner{
		Checker: check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: time.Second}},
		Timing:  check.Timing{DelayLoop: 50 * time.Millisecond, Retry: 2, DelayBeforeRetry: 20 * time.Millisecond, Alpha: true},
		Report:  func(v check.Verdict) { verdicts <- v },
		Log:     slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if v := <-verdicts; !v.Up || v.Reason != nil || v.Tries != 1 {
		t.Errorf("first: %+v, want up", v)
	}
	l.Close()
	if v := <-verdicts; v.Up || v.Tries != 3 || v.Reason == nil || v.Reason.Error() != "connection refused" {
		t.Errorf("stopped: %+v, want down after 3 tries, connection refused", v)
	}
	listen(t, target.String())
	if v := <-verdicts; !v.Up {
		t.Errorf("started again: %+v, want up", v)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A connection of TCP_CHECK leaves no port in TIME_WAIT (state 06), also one that the server
// has closed before.
func TestTCPLeavesNoTimeWait(t *testing.T) {
	p := newPair(t)
	p.director.Do(func() {
		target, l := listen(t, "127.0.0.1:0")
		defer l.Close()
		for range 100 {
			if _, err := (check.TCP{Endpoint: check.Endpoint{Target: target, Timeout: time.Minute}}).Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		left, err := os.ReadFile("/proc/thread-self/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(left), "\n")[1:] {
			if f := strings.Fields(line); len(f) > 3 && f[3] == "06" {
				t.Fatalf("in TIME_WAIT: %s", line)
			}
		}
	})
}
