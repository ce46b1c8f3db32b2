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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
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
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, s := range n.servers {
			if s.present && !s.hop.Valid && !s.hop.Local {
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

// What the director itself asks of a service is answered by its server, by every
// method, be the server another machine or the director itself.
func TestDirectorAsItsOwnClient(t *testing.T) {
	eachOwnHook(t, func(t *testing.T, n *ownNetwork) {
		for _, k := range ownKinds {
			serve(t, k.on(n), k.proto, k.listen())
			// A server that has the VIP itself has to see another client.
			seen := map[bool]netip.Addr{false: k.pick("192.0.2.100", "2001:db8::100"), true: k.pick("192.0.2.1", "2001:db8::1")}
			for _, size := range k.sizes() {
				t.Run(fmt.Sprintf("%s, %d bytes", k.name(), size), func(t *testing.T) {
					before := n.counted(k)
					got, err := ask(n.director, k.proto, netip.Addr{}, k.service(), size)
					if errors.Is(err, unix.EMSGSIZE) { // now the kernel knows, and cuts them
						got, err = ask(n.director, k.proto, netip.Addr{}, k.service(), size)
					}
					if err != nil {
						t.Fatal(err)
					}
					if want := seen[k.method != lvs.Masquerade && !k.local]; got != want {
						t.Errorf("the server saw %s, want %s", got, want)
					}
					n.wantCounted(t, k, before, !k.local || k.method == lvs.Masquerade)
				})
			}
			t.Run(k.name()+", from its own address", func(t *testing.T) {
				before := n.counted(k)
				own := k.pick("192.0.2.1", "2001:db8::1")
				if got, err := ask(n.director, k.proto, own, k.service(), 400); err != nil || got != own {
					t.Errorf("the server saw %s, %v; want %s", got, err, own)
				}
				n.wantCounted(t, k, before, !k.local || k.method == lvs.Masquerade)
			})
		}
	})
}

// An answer to the director itself arrives whatever the order that its fragments come in.
func TestAnswersFragmentsOutOfOrder(t *testing.T) {
	eachOwnHook(t, func(t *testing.T, n *ownNetwork) {
		for _, k := range ownKinds {
			if k.proto != "udp" || k.local {
				continue
			}
			t.Run(k.name(), func(t *testing.T) {
				before := n.counted(k)
				answer := strings.Repeat("8 KB and odd ", 630) + "."
				pieces := n.askAndAnswer(t, k, answer)
				now := n.counted(k)
				if now.Conns != before.Conns+1 || now.OutPackets != before.OutPackets+uint64(pieces) {
					t.Errorf("counted %+v, before %+v; want one connection and %d packets more", now, before, pieces)
				}
			})
		}
	})
}

// askAndAnswer asks for the answer, which its server sends in so many fragments, the
// last one first.
func (n *ownNetwork) askAndAnswer(t *testing.T, k ownKind, answer string) (pieces int) {
	t.Helper()
	var l, c *net.UDPConn
	var err error
	k.on(n).Do(func() { l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(k.listen())) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n.director.Do(func() { c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.service())) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline := time.Now().Add(ownPatience)
	if err := errors.Join(l.SetDeadline(deadline), c.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("what is it?")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	_, from, err := l.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal("the server: ", err)
	}
	device := "eth0"
	if k.method == lvs.Masquerade {
		device = "eth1"
	}
	f := frame{
		dst: macOf(t, n.director, device), src: macOf(t, k.on(n), "eth0"),
		from: k.listen().String(), to: from.String(), proto: "udp", payload: answer, id: int(askPort.Add(1)),
	}
	pieces = sendReversed(t, k.on(n), f)
	got, err := c.Read(buf)
	if err != nil || string(buf[:got]) != answer {
		t.Errorf("%d bytes came back, %v; want %d and the same", got, err, len(answer))
	}
	return pieces
}

// sendReversed sends a packet by a namespace's eth0 in so many fragments, the last one
// first.
func sendReversed(t *testing.T, ns *nstest.Namespace, f frame) (pieces int) {
	t.Helper()
	all := f.pieces(1400)
	ns.Do(func() {
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		cable := openCable(t, device.Index)
		for _, f := range slices.Backward(all) {
			if _, err := unix.Write(int(cable), f.bytes()); err != nil {
				t.Fatal(err)
			}
		}
	})
	return len(all)
}

// macOf is the address of a namespace's device.
func macOf(t *testing.T, ns *nstest.Namespace, device string) (mac string) {
	t.Helper()
	ns.Do(func() {
		d, err := net.InterfaceByName(device)
		if err != nil {
			t.Fatal(err)
		}
		mac = d.HardwareAddr.String()
	})
	return mac
}

// wantCounted expects one more connection, and its packets both ways, if those back
// pass the director.
func (n *ownNetwork) wantCounted(t *testing.T, k ownKind, before Counter, both bool) {
	t.Helper()
	now := n.counted(k)
	if now.Conns != before.Conns+1 || now.Packets == before.Packets || (now.OutPackets > before.OutPackets) != both {
		t.Errorf("counted %+v, before %+v; want one connection more, and packets both ways: %t", now, before, both)
	}
}

// A server that is the director itself answers clients, by every method; behind NAT
// on a port of its own.
func TestDirectorAsItsOwnServer(t *testing.T) {
	eachOwnHook(t, func(t *testing.T, n *ownNetwork) {
		for _, k := range ownKinds {
			if !k.local {
				continue
			}
			serve(t, n.director, k.proto, k.listen())
			for _, size := range k.sizes() {
				t.Run(fmt.Sprintf("%s, %d bytes", k.name(), size), func(t *testing.T) {
					before, want := n.counted(k), k.pick("198.51.100.9", "2001:db8:9::9")
					if got, err := ask(n.client, k.proto, netip.Addr{}, k.service(), size); err != nil || got != want {
						t.Errorf("the server saw %s, %v; want %s", got, err, want)
					}
					n.wantCounted(t, k, before, k.method == lvs.Masquerade)
				})
			}
			if k.proto == "udp" {
				t.Run(k.name()+", fragments in reverse", func(t *testing.T) { n.askReversed(t, k) })
			}
		}
	})
}

// askReversed has a client ask in fragments, the last one first.
func (n *ownNetwork) askReversed(t *testing.T, k ownKind) {
	t.Helper()
	var c *net.UDPConn
	var err error
	n.client.Do(func() { c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.service())) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(ownPatience)); err != nil {
		t.Fatal(err)
	}
	before, from, request := n.counted(k), c.LocalAddr().String(), strings.Repeat("8 KB and odd ", 630)+"."
	sendReversed(t, n.client, frame{
		dst: macOf(t, n.director, "eth1"), src: macOf(t, n.client, "eth0"),
		from: from, to: k.service().String(), proto: "udp", payload: request, id: int(askPort.Add(1)),
	})
	buf := make([]byte, 1<<16)
	got, err := c.Read(buf)
	if want := from + "\n" + request; err != nil || string(buf[:got]) != want {
		stats, _ := n.Stats()
		t.Errorf("%d bytes came back, %v; want %d and the same (reasons: %v)", got, err, len(want), stats.Reasons)
	}
	n.wantCounted(t, k, before, k.method == lvs.Masquerade)
}

// Where the VIP is not the director's own, its packets leave by a device: the
// standby's go to the master as they are, and a director that serves an address
// from elsewhere balances them there.
func TestDirectorWithoutTheVIP(t *testing.T) {
	newOwnNetwork(t, "", func(n *ownNetwork) {
		plan := ownPlan(lvs.HookTC)
		plan.Instances = []lvs.Instance{{ID: vi1, VIPs: []netip.Addr{vip4, vip6}}}
		n.plan(plan)
		var master netlnk.Link
		n.server.Do(func() { master = linkOf(t, "eth0") })
		n.director.Batch("neigh add 192.0.2.100 lladdr "+master.MAC.String()+" dev eth0 nud permanent",
			"neigh add 2001:db8::100 lladdr "+master.MAC.String()+" dev eth0 nud permanent")
		for _, k := range ownKinds {
			if k.local {
				continue
			}
			serve(t, n.server, k.proto, k.service())
			if k.method == lvs.Masquerade {
				serve(t, k.on(n), k.proto, k.listen())
			}
			t.Run(k.name(), func(t *testing.T) {
				own := k.pick("192.0.2.1", "2001:db8::1")
				for _, leased := range []bool{false, true} {
					n.renew(t, map[bool]time.Duration{true: time.Hour, false: -time.Second}[leased])
					before := n.counted(k)
					if got, err := ask(n.director, k.proto, netip.Addr{}, k.service(), 400); err != nil || got != own {
						t.Errorf("leased: %t: the server saw %s, %v; want %s", leased, got, err, own)
					}
					if leased {
						n.wantCounted(t, k, before, true)
					} else if now := n.counted(k); now != before {
						t.Errorf("the standby has balanced: %+v, before %+v", now, before)
					}
				}
			})
		}
	})
}

// A service without a server refuses the director as it does any client.
func TestDirectorIsRefused(t *testing.T) {
	for _, at := range []string{"eth0", "lo", ""} {
		t.Run("VIP on "+at, func(t *testing.T) {
			newOwnNetwork(t, at, func(n *ownNetwork) {
				plan := ownPlan(lvs.HookTC)
				for i := range plan.Services {
					plan.Services[i].RealServers = nil
				}
				n.plan(plan)
				n.director.Batch("neigh add 192.0.2.100 lladdr "+rs1MAC+" dev eth0 nud permanent",
					"neigh add 2001:db8::100 lladdr "+rs1MAC+" dev eth0 nud permanent")
				for _, k := range ownKinds {
					if k.local || k.method != lvs.DirectRoute {
						continue // without servers they are all the same
					}
					if _, err := ask(n.director, k.proto, netip.Addr{}, k.service(), 400); !errors.Is(err, unix.ECONNREFUSED) {
						t.Errorf("%s: got %v, want %v", k.name(), err, unix.ECONNREFUSED)
					}
				}
			})
		})
	}
}

// Who listens nowhere says so: its resets and ICMP errors come to the client, be that
// the director or another, from wherever its server is.
func TestClosedPortsAreToldOf(t *testing.T) {
	eachOwnHook(t, func(t *testing.T, n *ownNetwork) {
		for _, ns := range []*nstest.Namespace{n.director, n.server, n.client} {
			ns.Do(func() { // they would keep silent from the seventh on
				for _, limit := range []string{"ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"} {
					if err := os.WriteFile("/proc/sys/net/"+limit, []byte("0"), 0); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
		for _, k := range ownKinds {
			clients := map[string]*nstest.Namespace{"the director": n.director}
			if k.local {
				clients["another"] = n.client
			}
			for who, client := range clients {
				t.Run(k.name()+" for "+who, func(t *testing.T) {
					if _, err := ask(client, k.proto, netip.Addr{}, k.service(), 400); !errors.Is(err, unix.ECONNREFUSED) {
						t.Errorf("got %v, want %v", err, unix.ECONNREFUSED)
					}
				})
			}
		}
	})
}

// Neither end of the director's own connection sends longer segments than the way
// between them takes, though one is on lo and the other's device has a larger MTU.
func TestDirectorsSegmentsFitTheWay(t *testing.T) {
	newOwnNetwork(t, "eth0", func(n *ownNetwork) {
		n.server.Batch("link set eth0 mtu 9000")
		n.client.Batch("link set eth0 mtu 9000")
		n.plan(ownPlan(lvs.HookTC))
		for _, k := range ownKinds {
			if k.local || k.proto != "tcp" {
				continue
			}
			t.Run(k.name(), func(t *testing.T) {
				want := 1500 - 40
				if k.ip6 {
					want -= 20
				}
				if k.method == lvs.Tunnel {
					want -= map[bool]int{false: 20, true: 40}[k.ip6]
				}
				var l net.Listener
				var err error
				k.on(n).Do(func() { l, err = net.Listen("tcp", k.listen().String()) })
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				var ends [2]net.Conn
				n.director.Do(func() { ends[0], err = net.DialTimeout("tcp", k.service().String(), ownPatience) })
				if err != nil {
					t.Fatal(err)
				}
				defer ends[0].Close()
				if ends[1], err = l.Accept(); err != nil {
					t.Fatal(err)
				}
				defer ends[1].Close()
				for i, end := range ends {
					if got := segmentOf(t, end); got > want || got < want-12 { // the time stamps
						t.Errorf("%s sends %d bytes at once, want %d but for options", []string{"the director", "the server"}[i], got, want)
					}
				}
			})
		}
	})
}

// segmentOf is the longest segment that a connection's end sends.
func segmentOf(t *testing.T, c net.Conn) (bytes int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			bytes = int(info.Snd_mss)
		}
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return bytes
}

func linkOf(t *testing.T, name string) netlnk.Link {
	t.Helper()
	l, err := netlnk.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
