package check_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"weir/internal/check"
)

// over are the checks over the network, by how they reach an endpoint.
var over = []struct {
	name string
	make func(check.Endpoint) check.Checker
}{
	{"ICMP", func(e check.Endpoint) check.Checker { return check.Ping{Endpoint: e} }},
	{"UDP", func(e check.Endpoint) check.Checker {
		return check.UDP{Endpoint: e, Payload: []byte("hello"), Reply: &check.Reply{Pattern: []byte("hello"), Any: make([]byte, 5), MaxLength: 5}}
	}},
	{"TCP", func(e check.Endpoint) check.Checker { return check.TCP{Endpoint: e} }},
}

// The server lets in only what has the mark and the source that it is to have, and only
// by the device: the director's routes lead elsewhere.
func TestEndpointWords(t *testing.T) {
	p := newPair(t)
	p.director.Batch("link add other type veth peer name nobody", "link set other up", "link set nobody up", "address add 10.9.9.9/24 dev other",
		"address add 192.168.25.41/24 dev ens160", "address add fd25::41/64 dev ens160 nodad",
		"link set dev ens160 address 02:00:00:00:00:01", "address add fe80::1/64 dev ens160 nodad")
	p.server.Batch("address add fe80::2/64 dev ens160 nodad")
	for _, family := range []string{"-4", "-6"} {
		ip(t, "-n", p.director.Name, family, "rule", "add", "fwmark", "7", "table", "77", "priority", "1")
		ip(t, "-n", p.director.Name, family, "route", "add", "blackhole", "default", "table", "77")
	}
	p.server.Do(func() {
		listen(t, "0.0.0.0:80")
		listen(t, "[::]:81")
		echo(t, "0.0.0.0:80")
		echo(t, "[::]:81")
	})
	bind := netip.MustParseAddrPort
	for _, tt := range []struct {
		name string
		e    check.Endpoint
		want string // of the error; empty where the server is up
	}{
		{"plain", check.Endpoint{Target: bind(serverIP + ":80")}, ""},
		{"plain, IPv6", check.Endpoint{Target: bind("[" + serverIP6 + "]:81")}, ""},
		{"bindto", check.Endpoint{Target: bind(serverIP + ":80"), Bind: bind("192.168.25.41:0")}, ""},
		{"bindto, IPv6", check.Endpoint{Target: bind("[" + serverIP6 + "]:81"), Bind: bind("[fd25::41]:0")}, ""},
		{"bind_port", check.Endpoint{Target: bind(serverIP + ":80"), Bind: bind("192.168.25.41:1025")}, ""},
		{"bind_port again", check.Endpoint{Target: bind(serverIP + ":80"), Bind: bind("192.168.25.41:1025")}, ""},
		{"a foreign bindto", check.Endpoint{Target: bind(serverIP + ":80"), Bind: bind("203.0.113.9:0")}, "bind to 203.0.113.9: cannot assign requested address"},
		{"fwmark", check.Endpoint{Target: bind(serverIP + ":80"), Mark: 7}, "invalid argument"},
		{"a high fwmark", check.Endpoint{Target: bind(serverIP + ":80"), Mark: 0xffffffff}, ""},
		{"fwmark, IPv6", check.Endpoint{Target: bind("[" + serverIP6 + "]:81"), Mark: 7}, "invalid argument"},
		{"bind_if", check.Endpoint{Target: bind(serverIP + ":80"), Device: "ens160"}, ""},
		{"another bind_if", check.Endpoint{Target: bind(serverIP + ":80"), Device: "other"}, "no answer within 300ms"},
		{"no such bind_if", check.Endpoint{Target: bind(serverIP + ":80"), Device: "gone"}, "bind to device gone: no such device"},
		{"link-local", check.Endpoint{Target: bind("[fe80::2]:81"), Device: "ens160"}, ""},
	} {
		for _, kind := range over {
			tt.e.Timeout = time.Minute
			if strings.HasPrefix(tt.want, "no answer") {
				tt.e.Timeout = 300 * time.Millisecond
			}
			var err error
			p.director.Do(func() { _, err = kind.make(tt.e).Check(t.Context()) })
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%s over %s: %q, want %q", tt.name, kind.name, got, tt.want)
			}
			own := (*check.OwnError)(nil)
			if mine := tt.want != "" && !strings.HasPrefix(tt.want, "no answer"); errors.As(err, &own) != mine {
				t.Errorf("%s over %s: this machine's own trouble: %v, want %v", tt.name, kind.name, !mine, mine)
			}
		}
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("ip %v: %w\n%s", args, err, out))
	}
}

// echo answers each datagram with itself.
func echo(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		room := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(room)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(room[:n], from)
		}
	}()
}
