package dataplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
	"weir/lvs"
)

// The network of these tests has real sockets: a server that has the VIPs on lo, on
// eth0 of the director, and a client on its eth1, which is the server behind NAT, too.
type ownNetwork struct {
	*bench
	t                *testing.T
	director, server *nstest.Namespace
	client           *nstest.Namespace
}

// newOwnNetwork makes it, with the VIPs on this device of the director's, or, on "",
// nowhere.
func newOwnNetwork(t *testing.T, vipDevice string, body func(n *ownNetwork)) {
	name := nsName(t)
	n := &ownNetwork{t: t, director: nstest.New(t, name), server: nstest.New(t, name+"s"), client: nstest.New(t, name+"c")}
	nstest.Veth(n.director, "eth0", n.server, "eth0")
	nstest.Veth(n.director, "eth1", n.client, "eth0")
	n.director.Batch("addr add 192.0.2.1/24 dev eth0", "addr add 2001:db8::1/64 dev eth0 nodad",
		"addr add 198.51.100.1/24 dev eth1", "addr add 2001:db8:9::1/64 dev eth1 nodad")
	if vipDevice != "" {
		n.director.Batch("addr add 192.0.2.100/32 dev "+vipDevice, "addr add 2001:db8::100/128 dev "+vipDevice+" nodad")
	}
	n.server.Batch("addr add 192.0.2.11/24 dev eth0", "addr add 2001:db8::11/64 dev eth0 nodad")
	n.client.Batch("addr add 198.51.100.9/24 dev eth0", "addr add 2001:db8:9::9/64 dev eth0 nodad",
		"route add default via 198.51.100.1", "route add default via 2001:db8:9::1")
	n.server.Do(func() {
		rs := realserver.New(filepath.Join(t.TempDir(), "realserver.json"))
		if err := rs.StartTunnel([]netip.Addr{vip4, vip6}, realserver.Tunnel{Decap: realserver.DecapBPF}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			n.server.Do(func() {
				if err := rs.Stop([]netip.Addr{vip4, vip6}); err != nil {
					t.Error(err)
				}
			})
		})
	})
	n.director.Do(func() {
		n.bench = benchOf(t, Options{PinDir: pinsFor(name), Connections: 1 << 12, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
		n.bench.ns = n.director
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go n.director.Do(func() { ended <- n.Run(ctx) })
	defer n.director.Do(func() {
		cancel()
		if err := errors.Join(<-ended, n.Remove()); err != nil {
			t.Error(err)
		}
	})
	body(n)
}

// plan sets one, and waits for the ways to its servers.
func (n *ownNetwork) plan(plan lvs.Plan) {
	n.t.Helper()
	n.director.Do(func() { n.set(n.t, plan) })
	nstest.WaitFor(n.t, "the ways to the servers are known", func() bool {
		for _, s := range written[uint32, abi.BpfServer](n.maps.Servers) {
			if s.Flags&abi.BpfServerFlagsSERVER_PRESENT != 0 && s.Flags&(abi.BpfServerFlagsSERVER_RESOLVED|abi.BpfServerFlagsSERVER_LOCAL) == 0 {
				return false
			}
		}
		return true
	})
}

// ownKind is a service of its own.
type ownKind struct {
	method lvs.ForwardMethod
	proto  string
	ip6    bool
	local  bool // its server is the director
}

var ownKinds = func() (all []ownKind) {
	for _, method := range []lvs.ForwardMethod{lvs.Masquerade, lvs.DirectRoute, lvs.Tunnel} {
		for _, proto := range []string{"tcp", "udp"} {
			for _, ip6 := range []bool{false, true} {
				for _, local := range []bool{false, true} {
					all = append(all, ownKind{method, proto, ip6, local})
				}
			}
		}
	}
	return all
}()

func (k ownKind) name() string {
	return fmt.Sprintf("%s %s IPv%d to %s", k.method, k.proto, map[bool]int{false: 4, true: 6}[k.ip6],
		map[bool]string{false: "the server", true: "the director itself"}[k.local])
}

func (k ownKind) pick(ip4, ip6 string) netip.Addr {
	if k.ip6 {
		return netip.MustParseAddr(ip6)
	}
	return netip.MustParseAddr(ip4)
}

func (k ownKind) service() netip.AddrPort {
	port := 8000 + uint16(k.method)
	if k.local {
		port += 100
	}
	return netip.AddrPortFrom(k.pick("192.0.2.100", "2001:db8::100"), port)
}

// real is the real server, and listen where it listens.
func (k ownKind) real() netip.AddrPort {
	port := k.service().Port()
	if k.method == lvs.Masquerade {
		port += 1000
	}
	if k.local {
		return netip.AddrPortFrom(k.pick("192.0.2.1", "2001:db8::1"), port)
	}
	if k.method == lvs.Masquerade {
		return netip.AddrPortFrom(k.pick("198.51.100.9", "2001:db8:9::9"), port)
	}
	return netip.AddrPortFrom(k.pick("192.0.2.11", "2001:db8::11"), port)
}

// on is where it runs.
func (k ownKind) on(n *ownNetwork) *nstest.Namespace {
	switch {
	case k.local:
		return n.director
	case k.method == lvs.Masquerade:
		return n.client
	}
	return n.server
}

func (k ownKind) listen() netip.AddrPort {
	if k.method == lvs.Masquerade {
		return k.real()
	}
	return k.service()
}

func (k ownKind) virtual() lvs.VirtualServer {
	protocol := map[string]lvs.Protocol{"tcp": lvs.TCP, "udp": lvs.UDP}[k.proto]
	real := k.real()
	return lvs.VirtualServer{
		ServiceKey: lvs.ServiceKey{Protocol: protocol, Addr: k.service().Addr(), Port: k.service().Port()},
		Scheduler:  lvs.RoundRobin,
		RealServers: []lvs.RealServer{{
			Addr: real.Addr(), Port: real.Port(), Weight: 1, Method: k.method,
		}},
	}
}

func ownPlan(hook lvs.Hook) (plan lvs.Plan) {
	for _, k := range ownKinds {
		plan.Services = append(plan.Services, k.virtual())
	}
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: hook}, {Name: "eth1", Hook: hook}}
	return plan
}

// sizes of requests and answers, in bytes: of TCP, many segments; of UDP, datagrams
// in one piece and in several, which the kernel cuts once it knows how wide the way is.
func (k ownKind) sizes() []int {
	switch {
	case k.proto == "tcp":
		return []int{400, 400000}
	case k.local:
		return []int{400, 4000, 40000}
	}
	return []int{400, 1200, 4000}
}

const ownPatience = 5 * time.Second

// serve answers one request there with the client's address and what it has sent.
func serve(t *testing.T, ns *nstest.Namespace, proto string, at netip.AddrPort) {
	t.Helper()
	var l io.Closer
	ns.Do(func() {
		if proto == "tcp" {
			tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
			if err != nil {
				t.Fatal(err)
			}
			l = tcp
			go answerTCP(tcp)
			return
		}
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		l = udp
		go answerUDP(udp)
	})
	t.Cleanup(func() { l.Close() })
}

func answerTCP(l *net.TCPListener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			got, err := io.ReadAll(c)
			if err == nil {
				_, _ = fmt.Fprintf(c, "%s\n%s", c.RemoteAddr(), got)
			}
		}()
	}
}

func answerUDP(l *net.UDPConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := l.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = l.WriteToUDPAddrPort(fmt.Appendf(nil, "%s\n%s", from, buf[:n]), from)
	}
}

// askPort is the last client's port: each has another, so that it begins a connection.
var askPort atomic.Int32

func init() { askPort.Store(20000) }

// ask sends a request of so many bytes and says which client the server has seen.
func ask(ns *nstest.Namespace, proto string, from netip.Addr, to netip.AddrPort, bytesOf int) (seen netip.Addr, err error) {
	request := bytes.Repeat([]byte("weir"), bytesOf/4)
	var c net.Conn
	ns.Do(func() {
		local := &net.TCPAddr{IP: from.AsSlice(), Port: int(askPort.Add(1))}
		d := net.Dialer{Timeout: ownPatience, LocalAddr: local}
		if proto == "udp" {
			d.LocalAddr = (*net.UDPAddr)(local)
		}
		c, err = d.Dial(proto, to.String())
	})
	if err != nil {
		return seen, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(ownPatience)); err != nil {
		return seen, err
	}
	got, err := exchange(c, request)
	if err != nil {
		return seen, err
	}
	who, rest, _ := strings.Cut(string(got), "\n")
	if rest != string(request) {
		return seen, fmt.Errorf("%d bytes came back, want %d and the same", len(rest), len(request))
	}
	peer, err := netip.ParseAddrPort(who)
	return peer.Addr(), err
}

func exchange(c net.Conn, request []byte) ([]byte, error) {
	if tcp, ok := c.(*net.TCPConn); ok {
		if _, err := tcp.Write(request); err != nil {
			return nil, err
		}
		if err := tcp.CloseWrite(); err != nil {
			return nil, err
		}
		return io.ReadAll(tcp)
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	answer := make([]byte, 1<<16)
	n, err := c.Read(answer)
	return answer[:n], err
}

// counted is what a service's only server has.
func (n *ownNetwork) counted(k ownKind) Counter {
	n.t.Helper()
	stats, err := n.Stats()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range stats.Servers {
		if s.Server.AddrPort() == k.real() && s.Service == k.virtual().ServiceKey {
			return s.Counter
		}
	}
	n.t.Fatalf("no counters of %s", k.name())
	return Counter{}
}

// eachOwnHook runs a test with the programs at each place.
func eachOwnHook(t *testing.T, body func(t *testing.T, n *ownNetwork)) {
	newOwnNetwork(t, "eth0", func(n *ownNetwork) {
		for _, hook := range []lvs.Hook{lvs.HookTC, lvs.HookNative, lvs.HookGeneric} {
			t.Run(string(hook), func(t *testing.T) {
				n.plan(ownPlan(hook))
				body(t, n)
			})
		}
	})
}
