package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

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
				pieces := n.askAndAnswer(t, k, eightKB)
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
		cable := openCable(t, linkOf(t, "eth0").Index)
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
	ns.Do(func() { mac = linkOf(t, device).MAC.String() })
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
	before, from := n.counted(k), c.LocalAddr().String()
	sendReversed(t, n.client, frame{
		dst: macOf(t, n.director, "eth1"), src: macOf(t, n.client, "eth0"),
		from: from, to: k.service().String(), proto: "udp", payload: eightKB, id: int(askPort.Add(1)),
	})
	buf := make([]byte, 1<<16)
	got, err := c.Read(buf)
	if want := from + "\n" + eightKB; err != nil || string(buf[:got]) != want {
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
