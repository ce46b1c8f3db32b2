package check_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"weir/internal/check"
)

func ping(target string) check.Ping {
	return check.Ping{Endpoint: check.Endpoint{Target: netip.AddrPortFrom(netip.MustParseAddr(target), 0), Timeout: timeout}}
}

func writeSysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// A host that only answers ICMP, falls silent, answers again, and is switched off; over
// sockets for datagrams and raw ones.
func TestPing(t *testing.T) {
	for _, tt := range []struct{ name, groups, target, silence string }{
		{"IPv4", "0 0", serverIP, "ipv4/icmp_echo_ignore_all"},
		{"IPv6", "0 0", serverIP6, "ipv6/icmp/echo_ignore_all"},
		{"IPv4, raw", "1 0", serverIP, "ipv4/icmp_echo_ignore_all"},
		{"IPv6, raw", "1 0", serverIP6, "ipv6/icmp/echo_ignore_all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			sysctl(t, p.director, "ipv4/ping_group_range", tt.groups)
			w := p.watch(t, ping(tt.target))
			w.up()
			w.change(func() { sysctl(t, p.server, tt.silence, "1") })
			w.down("no answer within 1s")
			w.change(func() { sysctl(t, p.server, tt.silence, "0") })
			w.up()
			w.change(func() { p.server.IP("link", "set", "ens160", "down") })
			w.down("")
		})
	}
}

// What the network reports ends a check before its time is over.
func TestPingUnreachable(t *testing.T) {
	p := newPair(t)
	p.director.Batch(
		"route add 198.51.100.0/24 via "+serverIP, "route add unreachable 203.0.113.0/24",
		"route add 2001:db8:99::/64 via "+serverIP6, "route add prohibit 2001:db8:98::/64",
	)
	p.server.Batch("route add unreachable 198.51.100.0/24", "route add prohibit 2001:db8:99::/64")
	sysctl(t, p.server, "ipv4/ip_forward", "1")
	sysctl(t, p.server, "ipv6/conf/all/forwarding", "1")
	for _, groups := range []string{"0 0", "1 0"} {
		sysctl(t, p.director, "ipv4/ping_group_range", groups)
		p.director.Do(func() {
			for _, tt := range []struct {
				name, target, want string
				own                bool
			}{
				{"a router says so", "198.51.100.1", "no route to host", false},
				{"unreachable by route", "203.0.113.1", "no route to host", true},
				{"no route at all", "192.0.2.1", "network is unreachable", true},
				{"prohibited by a router", "2001:db8:99::1", "permission denied", false},
				{"prohibited by a route", "2001:db8:98::1", "permission denied", true},
			} {
				c := ping(tt.target)
				c.Timeout = time.Minute
				_, err := c.Check(t.Context())
				if err == nil || err.Error() != tt.want {
					t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
				}
				if own := (*check.OwnError)(nil); errors.As(err, &own) != tt.own {
					t.Errorf("%s: this machine's own trouble: %v, want %v", tt.name, !tt.own, tt.own)
				}
			}
		})
	}
}

func TestPingCancelled(t *testing.T) {
	p := newPair(t)
	sysctl(t, p.server, "ipv4/icmp_echo_ignore_all", "1")
	p.director.Do(func() {
		c := ping(serverIP)
		c.Timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestPingString(t *testing.T) {
	for _, target := range []string{"192.168.25.32", "fd25::32"} {
		if got := ping(target).String(); got != "PING_CHECK "+target {
			t.Errorf("got %q, want PING_CHECK %s", got, target)
		}
	}
}
