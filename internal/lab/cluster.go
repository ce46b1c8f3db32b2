package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

const (
	// switchNode and clientNode are the namespaces beside the cluster's nodes.
	switchNode = "switch"
	clientNode = "client"
	bridgeName = "br0"

	// startTimeout bounds how long a program may take until it says that it
	// has started; loading BPF programs takes most of it.
	startTimeout = time.Minute
)

// NodeSpec is one machine of a cluster.
type NodeSpec struct {
	Name string
	Addr netip.Prefix
	// Config is the node's keepalived.conf; a node with one is a director and
	// runs `weir run`, with RunArgs added.
	Config  string
	RunArgs []string
	// RealServer, when not empty, is what follows `weir realserver` on the
	// command line when the node boots, for a node that is no director:
	// {"start", "--vip", "192.168.25.100"}.
	RealServer []string
	// Web is the page of the node's web server; empty is none.
	Web string
}

// ClusterOptions describe a cluster.
type ClusterOptions struct {
	Options
	Nodes  []NodeSpec
	Client netip.Prefix
	// Target is the service that the client asks: VIP and port.
	Target netip.AddrPort
	// Device is what the interface inside each node is called: ens160.
	Device string
	// IPv6 leaves IPv6 on.
	IPv6 bool
	// Prepare, when set, is called once the network stands, before any
	// program runs: the place to set offloads.
	Prepare func(*Cluster) error
}

// Cluster is a lab with nodes and a client around one switch.
type Cluster struct {
	*Lab

	opts   ClusterOptions
	log    *slog.Logger
	nodes  []*Node
	client *Namespace
	fabric *Namespace // the switch
}

// NewCluster builds the network of a cluster: a switch, a client and the
// nodes, each with its own cable. No program runs yet.
func NewCluster(opts ClusterOptions) (*Cluster, error) {
	if opts.Device == "" {
		opts.Device = "ens160"
	}
	l, err := New(opts.Options)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Lab: l, opts: opts, log: l.log}
	if err := c.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return c, nil
}

func (c *Cluster) build() error {
	var err error
	if c.fabric, err = c.AddNamespace(switchNode, c.opts.IPv6); err != nil {
		return err
	}
	if err := c.fabric.AddBridge(bridgeName); err != nil {
		return err
	}
	if c.client, err = c.plugIn(clientNode, c.opts.Client); err != nil {
		return err
	}
	for _, spec := range c.opts.Nodes {
		n := newNode(c, spec)
		if err := n.boot(); err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	if c.opts.Prepare != nil {
		return c.opts.Prepare(c)
	}
	return nil
}

// plugIn makes a machine's namespace and its cable to the switch. Its MAC
// address follows from its IP address, so that a machine that boots again
// comes back with its own.
func (c *Cluster) plugIn(name string, addr netip.Prefix) (*Namespace, error) {
	ns, err := c.AddNamespace(name, c.opts.IPv6)
	if err != nil {
		return nil, err
	}
	inside := LinkEnd{Namespace: ns, Name: c.opts.Device, MAC: macOf(addr.Addr())}
	if err := Connect(inside, LinkEnd{Namespace: c.fabric, Name: name}); err != nil {
		return nil, err
	}
	if err := ns.AddAddr(c.opts.Device, addr); err != nil {
		return nil, err
	}
	if err := ns.SetUp(c.opts.Device); err != nil {
		return nil, err
	}
	if err := c.fabric.AddPort(bridgeName, name); err != nil {
		return nil, err
	}
	return ns, errors.Join(ns.waitCarrier(c.opts.Device), c.fabric.waitCarrier(name))
}

// macOf makes a locally administered unicast address that ends in the last
// four bytes of an IP address.
func macOf(addr netip.Addr) net.HardwareAddr {
	ip := addr.AsSlice()
	return append(net.HardwareAddr{0x02, 0x77}, ip[len(ip)-4:]...)
}

// Node is the node of that name, or nil.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.nodes {
		if n.Spec.Name == name {
			return n
		}
	}
	return nil
}

// Nodes are all nodes, in the order of their specifications.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Client is the client's namespace, Switch the switch's.
func (c *Cluster) Client() *Namespace { return c.client }
func (c *Cluster) Switch() *Namespace { return c.fabric }

// Start starts every node's programs and returns when all have started: first
// the web servers, so that no checker finds one missing, then real servers,
// then directors, at the same time as machines would.
func (c *Cluster) Start(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := n.StartWeb(ctx); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.setUpRealServer(ctx); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.launchWeir(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.waitStarted(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Requests lets the client make exactly n requests to the target, in order.
func (c *Cluster) Requests(ctx context.Context, n int) Stats {
	return Requests(ctx, c.client, c.opts.Target.String(), n)
}

// Stream starts a steady stream of the client's requests to the target. It
// must be stopped before the cluster is closed.
func (c *Cluster) Stream(ctx context.Context, rate int) *Stream {
	return StartStream(ctx, c.client, c.opts.Target.String(), rate)
}

// SetOffload switches an offload of a node's or the client's interface, and
// says so: what a packet test measures depends on it.
func (c *Cluster) SetOffload(node, device, feature string, on bool) error {
	ns, err := c.namespace(node)
	if err != nil {
		return err
	}
	if err := ns.SetOffload(device, feature, on); err != nil {
		return err
	}
	c.log.Info("offload set", "node", node, "device", device, "feature", feature, "on", on)
	return nil
}

// Counters reads an interface of a node, of "client" or of "switch", where
// each port is called after the machine at its other end. What a machine has sent is what has
// come in at its port: weir may put packets there at once (bpf_redirect_peer), and then the
// machine's own interface does not count them.
func (c *Cluster) Counters(node, device string) (Counters, error) {
	ns, err := c.namespace(node)
	if err != nil {
		return Counters{}, err
	}
	counters, err := ns.Counters(device)
	if err == nil && node != switchNode && device == c.opts.Device {
		var port Counters
		port, err = c.fabric.Counters(node)
		counters.TxPackets, counters.TxBytes = port.RxPackets, port.RxBytes
	}
	return counters, err
}

func (c *Cluster) namespace(node string) (*Namespace, error) {
	switch node {
	case clientNode:
		return c.client, nil
	case switchNode:
		return c.fabric, nil
	}
	if n := c.Node(node); n != nil {
		return n.ns, nil
	}
	return nil, fmt.Errorf("the cluster has no node %q", node)
}
