package traffic

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/lab"
)

// The ends of the point-to-point devices, which have no Ethernet, as those of a VPN.
var (
	tunClient   = machine{"client", "10.3.0.10/32", "fd03::10/128"}
	tunDirector = machine{"director", "10.3.0.1/32", "fd03::1/128"}
	tunNAT      = machine{"nat", "10.3.0.31/32", "fd03::31/128"}
	tunOwn      = machine{"own", "10.3.0.32/32", "fd03::32/128"}
)

// at is a server at the address by which the director reaches it.
func (n *network) at(m machine) machine {
	if n.tun != "servers" {
		return m
	}
	return map[string]machine{"nat": tunNAT, "own": tunOwn}[m.name]
}

// A server behind a device without Ethernet is served, and so is a client that comes by one.
// The devices whose hook the configuration does not give are at tc.
func TestTrafficWithoutEthernet(t *testing.T) {
	for _, who := range []string{"client", "servers"} {
		t.Run(who, func(t *testing.T) {
			n := &network{t: t, hook: "auto", tun: who, mtu: wide}
			n.build()
			for _, k := range kinds {
				if who == "servers" && k.method == "TUN" { // weir realserver takes tunnels apart on Ethernet only
					continue
				}
				t.Run(k.String(), func(t *testing.T) { n.carry(t, k) })
			}
		})
	}
}

// tunnels connects the client or the servers by devices without Ethernet.
func (n *network) tunnels() {
	switch n.tun {
	case "client":
		n.tunnel("tun0", tunClient)
		n.ip("client", "route add "+vip4.String()+" dev tun0 src "+tunClient.addr4().String(),
			"route add "+vip6.String()+" dev tun0 src "+tunClient.addr6().String())
		for server, by := range map[string]machine{"nat": director, "own": client} {
			n.ip(server, "route add "+tunClient.addr4().String()+" via "+by.addr4().String(),
				"route add "+tunClient.addr6().String()+" via "+by.addr6().String())
		}
	case "servers":
		n.tunnel("tun0", tunNAT)
		n.tunnel("tun1", tunOwn)
		n.ip("nat", "route del "+client.addr4().String(), "route del "+client.addr6().String(),
			"route add "+client.addr4().String()+" dev tun0", "route add "+client.addr6().String()+" dev tun0")
	}
}

// tunnel connects a machine's tun0 with a device of the director.
func (n *network) tunnel(directors string, m machine) {
	ns := n.Client()
	if m.name != "client" {
		ns = n.Node(m.name).Namespace()
	}
	a, b := n.openTun(n.Node("director").Namespace(), directors), n.openTun(ns, "tun0")
	go pump(a, b)
	go pump(b, a)
	for name, ends := range map[string]struct {
		dev      string
		own, far machine
	}{"director": {directors, tunDirector, m}, m.name: {"tun0", m, tunDirector}} {
		n.ip(name, "link set "+ends.dev+" up",
			"addr add "+ends.own.addr4().String()+" peer "+ends.far.addr4().String()+" dev "+ends.dev,
			"addr add "+ends.own.addr6().String()+" peer "+ends.far.addr6().String()+" dev "+ends.dev+" nodad")
	}
	for _, conf := range []string{"all", "tun0", device} {
		n.must(ns.Sysctl("ipv4/conf/"+conf+"/rp_filter", "0"))
	}
}

// openTun makes a tun device, and opens it.
func (n *network) openTun(ns *lab.Namespace, name string) *os.File {
	var f *os.File
	n.must(ns.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	}))
	n.tuns = append(n.tuns, f)
	return f
}

// pump carries packets from one device to another until one is closed.
func pump(from, to *os.File) {
	packet := make([]byte, 1<<16)
	for {
		n, err := from.Read(packet)
		if err != nil {
			return
		}
		_, _ = to.Write(packet[:n]) // a device that is not up takes none
	}
}
