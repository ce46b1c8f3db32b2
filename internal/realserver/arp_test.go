package realserver_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

var (
	rip      = netip.MustParseAddr("192.168.25.31")
	clientIP = netip.MustParseAddr("192.168.25.9")
)

// lan is a real server and a client, connected by a veth pair.
func lan(t *testing.T) (server, client *nstest.Namespace, rs *realserver.RealServer) {
	t.Helper()
	server, client = nstest.New(t, "server"), nstest.New(t, "client")
	nstest.Veth(server, "ens160", client, "eth0")
	server.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
	server.IP("address", "add", "fd25::31/64", "dev", "ens160", "nodad")
	client.IP("address", "add", "192.168.25.9/24", "dev", "eth0")
	client.IP("address", "add", "fd25::9/64", "dev", "eth0", "nodad")
	client.Do(func() {
		nstest.WaitFor(t, "carrier", func() bool { l, err := netlnk.LinkByName("eth0"); return err == nil && l.Up })
	})
	return server, client, realserver.New(filepath.Join(t.TempDir(), "realserver.json"))
}

// The client's ARP request for the VIP gets no answer, and one for the real
// server's own address does.
func TestNoARPAnswerForTheVIP(t *testing.T) {
	server, client, rs := lan(t)
	server.IP("address", "add", "192.168.25.100/32", "dev", "lo")
	if !answered(t, client, vip) {
		t.Fatal("without start the VIP on lo is not answered for: this test proves nothing")
	}
	server.Do(func() { must(t, rs.Start(vips{vip})) })
	if answered(t, client, vip) {
		t.Error("the real server answers ARP for the VIP")
	}
	server.Do(func() { must(t, rs.Stop(nil)) })
	if !answered(t, client, vip) {
		t.Error("after stop the machine is still silent about an address it has")
	}
}

// While the machine is the master director, it answers ARP for the VIP on ens160.
func TestMasterDirectorAnswersARP(t *testing.T) {
	server, client, rs := lan(t)
	server.Do(func() { must(t, rs.Start(vips{vip})) })
	server.IP("address", "add", "192.168.25.100/32", "dev", "ens160")
	if !answered(t, client, vip) {
		t.Error("the master director does not answer ARP for the VIP")
	}
	server.IP("address", "del", "192.168.25.100/32", "dev", "ens160")
	if answered(t, client, vip) {
		t.Error("as backup it still answers")
	}
}

// answered sends an ARP request for an address, then one for the real server's own. The
// server answers requests in their order, so that a request that is not answered before
// the second one is not answered at all.
func answered(t *testing.T, client *nstest.Namespace, addr netip.Addr) (yes bool) {
	t.Helper()
	client.Do(func() {
		c, mac := listen(t, "eth0")
		defer c.Close()
		for _, target := range []netip.Addr{addr, rip} {
			request := arp.Packet{Operation: arp.Request, SenderMAC: mac, SenderIP: clientIP,
				TargetMAC: make(net.HardwareAddr, 6), TargetIP: target}
			b, err := request.MarshalBinary()
			must(t, err)
			_, err = c.WriteTo(b, &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}})
			must(t, err)
		}
		for {
			switch p := read(t, c); {
			case p.Operation == arp.Reply && p.SenderIP == addr:
				yes = true
			case p.Operation == arp.Reply && p.SenderIP == rip:
				return
			}
		}
	})
	return yes
}

// A packet that the server sends from the VIP makes it send an ARP request for the client;
// that request must come from the server's own address.
func TestARPRequestsDoNotTellTheVIP(t *testing.T) {
	server, client, rs := lan(t)
	if got := asksAs(t, server, client, rs); got != rip {
		t.Errorf("the server asks as %v, want %v", got, rip)
	}
}

func asksAs(t *testing.T, server, client *nstest.Namespace, rs *realserver.RealServer) (sender netip.Addr) {
	t.Helper()
	client.Do(func() {
		c, _ := listen(t, "eth0")
		defer c.Close()
		server.Do(func() {
			must(t, rs.Start(vips{vip}))
			from, to := netip.AddrPortFrom(vip, 0), netip.AddrPortFrom(clientIP, 9)
			u, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
			must(t, err)
			defer u.Close()
			_, err = u.Write([]byte("reply"))
			must(t, err)
		})
		for {
			if p := read(t, c); p.Operation == arp.Request && p.TargetIP == clientIP {
				sender = p.SenderIP
				return
			}
		}
	})
	return sender
}

// For IPv6 the kernel by itself does not answer for addresses of other devices.
func TestNoNeighbourAdvertisementForTheVIP(t *testing.T) {
	server, client, rs := lan(t)
	server.Do(func() { must(t, rs.Start(vips{vip6})) })
	client.Do(func() {
		must(t, os.WriteFile("/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms", []byte("100"), 0))
		// Its own address comes first: after that the server is known to answer.
		own := netip.MustParseAddr("fd25::31")
		nstest.WaitFor(t, "an answer for its own address", func() bool {
			must(t, netlnk.Refresh(own))
			hop, err := netlnk.Resolve(own)
			return err == nil && hop.Valid
		})
		must(t, netlnk.Refresh(vip6))
		nstest.WaitFor(t, "the kernel gives up", func() bool {
			out := client.IP("neighbour", "show", vip6.String())
			if strings.Contains(out, "REACHABLE") {
				t.Fatalf("the real server answered for the VIP: %s", out)
			}
			return strings.Contains(out, "FAILED")
		})
	})
}

func listen(t *testing.T, dev string) (*packet.Conn, net.HardwareAddr) {
	t.Helper()
	l, err := netlnk.LinkByName(dev)
	must(t, err)
	c, err := packet.Listen(&net.Interface{Index: l.Index}, packet.Datagram, unix.ETH_P_ARP, nil)
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	return c, l.MAC
}

func read(t *testing.T, c *packet.Conn) (p arp.Packet) {
	t.Helper()
	buf := make([]byte, 1500)
	n, _, err := c.ReadFrom(buf)
	must(t, err)
	must(t, p.UnmarshalBinary(buf[:n]))
	return p
}
