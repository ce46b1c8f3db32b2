package traffic

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
	"weir/test/binary"
)

// executable is the weir binary under test.
var executable string

func TestMain(m *testing.M) { binary.Main(m, &executable) }

// The machines of the client's network, and of the servers' network where they have their
// own: there, their direct answers to the client pass a router.
var (
	vip4, vip6 = netip.MustParseAddr("10.1.0.100"), netip.MustParseAddr("fd01::100")
	client     = machine{"client", "10.1.0.10/24", "fd01::10/64"}
	director   = machine{"director", "10.1.0.1/24", "fd01::1/64"}
	behind     = machine{"director", "10.2.0.1/24", "fd02::1/64"} // its other side
	router     = machine{"router", "10.1.0.2/24", "fd01::2/64"}
	routerBack = machine{"router", "10.2.0.2/24", "fd02::2/64"}
)

type machine struct{ name, ip4, ip6 string }

func (m machine) addr4() netip.Addr { return netip.MustParsePrefix(m.ip4).Addr() }
func (m machine) addr6() netip.Addr { return netip.MustParsePrefix(m.ip6).Addr() }

// network is the network in which a row of the test's matrix runs.
type network struct {
	*lab.Cluster
	t     *testing.T
	two   bool    // the servers have their own network
	tun   string  // who is connected by a device without Ethernet: "client", "servers", or "" for nobody
	nat   machine // the server whose answers come back to the director
	own   machine // the server that answers clients itself, by direct routing and tunnels
	tuns  []*os.File
	other string // the kind of one more device by which the client reaches the VIPs, or ""
	hook  string
	mtu   int // of the way from the director to that server
}

const (
	device = "ens160" // of every machine
	second = "ens192" // of the director and the router, towards the servers

	narrow = 1500 // the usual MTU
	wide   = 1600 // an MTU with room for an outer header
)

// newNetwork builds a network, with weir at this hook of the director's devices.
func newNetwork(t *testing.T, hook string, two bool, mtu int) *network {
	n := &network{t: t, two: two, hook: hook, mtu: mtu}
	n.build()
	return n
}

// build builds the network as its fields say.
func (n *network) build() {
	t := n.t
	n.nat, n.own = machine{"nat", "10.1.0.31/24", "fd01::31/64"}, machine{"own", "10.1.0.32/24", "fd01::32/64"}
	if n.two {
		n.nat, n.own = machine{"nat", "10.2.0.31/24", "fd02::31/64"}, machine{"own", "10.2.0.32/24", "fd02::32/64"}
	}
	node := func(m machine) lab.NodeSpec {
		return lab.NodeSpec{Name: m.name, Addr: netip.MustParsePrefix(m.ip4)}
	}
	own, dir := node(n.own), node(director)
	own.RealServer = []string{"start", "--method", "tunnel", "--vip", vip4.String(), "--vip", vip6.String()}
	dir.Config = n.config()
	c, err := lab.NewCluster(lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix(client.ip4), IPv6: true, Device: device,
		Nodes: []lab.NodeSpec{node(n.nat), own, dir, node(router)},
		Prepare: func(c *lab.Cluster) error {
			n.Cluster = c
			n.cable()
			n.address()
			n.tunnels()
			n.byOther()
			n.offloads()
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	// Each network namespace needs its own state file: this one is in the node's run directory.
	c.Node("own").Spec.RealServer = append(own.RealServer, "--state", filepath.Join(c.Node("own").RunDir(), "realserver.json"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

func (n *network) close() {
	if n.t.Failed() {
		for _, line := range n.Node("director").Log.Tail(40) {
			n.t.Logf("director: %s", line)
		}
	}
	for _, tun := range n.tuns {
		tun.Close() // an open one holds its namespace
	}
	if err := n.Close(); err != nil {
		n.t.Error(err)
	}
}

// cable connects the servers, the director and the router by a second switch.
func (n *network) cable() {
	if !n.two {
		return
	}
	n.must(n.Switch().AddBridge("br1"))
	for _, m := range []machine{n.nat, n.own} {
		n.must(n.Switch().AddPort("br1", m.name))
	}
	for _, m := range []machine{behind, routerBack} {
		ns := n.Node(m.name).Namespace()
		n.must(lab.Connect(lab.LinkEnd{Namespace: ns, Name: second}, lab.LinkEnd{Namespace: n.Switch(), Name: m.name + "2"}))
		n.must(ns.AddAddr(second, netip.MustParsePrefix(m.ip4)))
		n.must(ns.SetUp(second))
		n.must(n.Switch().AddPort("br1", m.name+"2"))
	}
	for _, set := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		n.must(n.Node("router").Namespace().Sysctl(set, "1"))
	}
}

// address adds IPv6 addresses to all machines, the VIPs to the director, the routes back to
// the client's network, and sets the MTU between director and server.
func (n *network) address() {
	mtu := fmt.Sprint(" mtu ", n.mtu)
	n.ip("client", "addr add "+client.ip6+" dev "+device+" nodad")
	for _, m := range []machine{n.nat, n.own, director, router} {
		n.ip(m.name, "addr add "+m.ip6+" dev "+device+" nodad")
	}
	n.ip("director", "addr add "+vip4.String()+"/32 dev "+device, "addr add "+vip6.String()+"/128 dev "+device+" nodad",
		"link set "+device+mtu)
	n.ip("own", "link set "+device+mtu)
	ports := []string{"link set director" + mtu, "link set own" + mtu}
	if !n.two {
		// The answers go by the director, although the client is on the same link.
		n.ip("nat", "route add "+client.addr4().String()+" via "+director.addr4().String(),
			"route add "+client.addr6().String()+" via "+director.addr6().String())
		n.ip("switch", ports...)
		return
	}
	for _, m := range []machine{behind, routerBack} {
		n.ip(m.name, "addr add "+m.ip6+" dev "+second+" nodad", "link set "+second+mtu)
	}
	n.ip("switch", append(ports, "link set director2"+mtu)...)
	for server, by := range map[machine]machine{n.nat: behind, n.own: routerBack} {
		n.ip(server.name, "route add default via "+by.addr4().String(), "route add default via "+by.addr6().String())
	}
}

// offloads prepares the devices for XDP: it turns off the offload of checksums, since
// hardware never delivers packets with partial checksums as a local sender's are, and
// attaches programs to the peers, since a veth device drops a frame that XDP has sent to it
// unless it runs a program itself. With tc the offloads stay Linux's default.
func (n *network) offloads() {
	if n.hook == "tc" || n.hook == "auto" {
		return
	}
	for _, name := range []string{"client", "nat", "own"} {
		n.must(n.SetOffload(name, device, "tx", false))
		n.t.Logf("%s: the checksum offload of %s is off, and segmentation with it", name, device)
	}
	ports := []string{"client", "nat", "own", "director"}
	if n.two {
		ports = append(ports, "director2")
	}
	n.must(n.Switch().Do(func() error {
		for _, port := range ports {
			nstest.PassXDP(n.t, port)
		}
		return nil
	}))
}

// ip runs commands of ip in a machine's namespace.
func (n *network) ip(name string, commands ...string) {
	n.t.Helper()
	ns := n.Switch()
	switch name {
	case "client":
		ns = n.Client()
	case "switch":
	default:
		ns = n.Node(name).Namespace()
	}
	cmd := exec.Command("ip", "-n", ns.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%s: ip -batch: %v\n%s\n%s", name, err, strings.Join(commands, "\n"), out)
	}
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}
