package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// The director is the guest's own namespace. The client of number i is in the namespace
// clI, and the server in rsI; each has a link of its own kind to the director:
//
//	client i   10.20.i.10, fd20:i::10; the director's end is 1
//	server i   10.30.i.31, fd30:i::31; the director's end is 1
//	VIPs       10.99.i.M, fd99:i::M of server i and method M, by the director
//
// All are on one bridge as well, by which direct answers go to the client: client i as
// 10.40.0.i, server i as 10.40.0.(100+i). A server answers from its own address (NAT) by
// the director.
type end struct {
	kind   string
	number int
	server bool
}

func (e end) namespace() string { return fmt.Sprintf("%s%d", e.letters(), e.number) }

func (e end) letters() string {
	if e.server {
		return "rs"
	}
	return "cl"
}

// device is the director's device that leads to it.
func (e end) device() string { return fmt.Sprintf("%s%d-%s", e.letters(), e.number, e.kind) }

// address is one on the link: host 1 is the director.
func (e end) address(family string, host int) string {
	net := map[bool]int{false: 20, true: 30}[e.server]
	if family == "IPv4" {
		return fmt.Sprintf("10.%d.%d.%d", net, e.number, host)
	}
	return fmt.Sprintf("fd%d:%d::%d", net, e.number, host)
}

// own is the end's host number on the link.
func (e end) own() int {
	if e.server {
		return 31
	}
	return 10
}

// back is its address on the bridge that all are on.
func (e end) back(family string) string {
	host := e.number
	if e.server {
		host += 100
	}
	if family == "IPv4" {
		return fmt.Sprintf("10.40.0.%d", host)
	}
	return fmt.Sprintf("fd40::%d", host)
}

// vip is the virtual address of a server for one method.
func (e end) vip(method, family string) string {
	m := slices.Index(methods, method) + 1
	if family == "IPv4" {
		return fmt.Sprintf("10.99.%d.%d", e.number, m)
	}
	return fmt.Sprintf("fd99:%d::%d", e.number, m)
}

var (
	methods  = []string{"DR", "NAT", "TUN"}
	families = []string{"IPv4", "IPv6"}
	bits     = map[string]string{"IPv4": "/32", "IPv6": "/128"}
	networks = map[string]string{"IPv4": "/24", "IPv6": "/64"}
	nobody   = map[string]string{"IPv4": "10.99.0.1", "IPv6": "fd99::1"} // VIPs without servers
)

// network is all machines.
type network struct {
	clients, servers []end
	card             int // the number of the guest's next card
}

// sh runs lines of a shell script in the guest's own namespace.
func sh(lines ...string) error {
	c := exec.Command("bash", "-ec", strings.Join(lines, "\n"))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("%w: %s\n%s", err, &out, strings.Join(lines, "\n"))
	}
	return nil
}

func build(clients, servers []string) (*network, error) {
	n := &network{}
	err := sh("modprobe -a virtio_net veth bridge 8021q bonding ipip ip6_tunnel ip_gre ip6_gre sit tun wireguard 2>/dev/null || true",
		"modprobe -a e1000 e1000e e100 8139cp vmxnet3 2>/dev/null || true",
		"for f in /proc/sys/net/ipv4/conf/{all,default}/rp_filter; do echo 0 >$f; done",
		"ip netns add back", "ip -n back link add br0 type bridge forward_delay 0 mcast_snooping 0", "ip -n back link set br0 up")
	if err != nil {
		return nil, err
	}
	for i, kind := range clients {
		n.clients = append(n.clients, end{kind: kind, number: i + 1})
	}
	for i, kind := range servers {
		n.servers = append(n.servers, end{kind: kind, number: i + 1, server: true})
	}
	for _, e := range slices.Concat(n.clients, n.servers) {
		if err := n.add(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.device(), err)
		}
	}
	return n, n.routes()
}

// add makes an end's namespace and its link to the director.
func (n *network) add(e end) error {
	ns, dev := e.namespace(), e.device()
	lines := []string{
		"ip netns add " + ns, "ip -n " + ns + " link set lo up",
		"for s in rp_filter arp_ignore arp_announce; do for c in all default; do ip netns exec " + ns + " sh -c \"echo 0 >/proc/sys/net/ipv4/conf/$c/$s\"; done; done",
		fmt.Sprintf("ip -n back link add %s type veth peer name back netns %s", ns, ns),
		fmt.Sprintf("ip -n back link set %s master br0 up; ip -n %s link set back up", ns, ns),
	}
	lines = append(lines, n.link(e)...)
	for _, f := range families {
		nodad := map[string]string{"IPv6": " nodad"}[f]
		lines = append(lines,
			fmt.Sprintf("ip addr add %s%s dev %s%s", e.address(f, 1), networks[f], dev, nodad),
			fmt.Sprintf("ip -n %s addr add %s%s dev eth0%s", ns, e.address(f, e.own()), networks[f], nodad),
			fmt.Sprintf("ip -n %s addr add %s%s dev back%s", ns, e.back(f), networks[f], nodad))
	}
	return sh(lines...)
}

// link are the lines that connect an end: its device is eth0, the director's as
// device says.
func (n *network) link(e end) []string {
	ns, dev := e.namespace(), e.device()
	veth := func(name, far string) []string {
		return []string{
			fmt.Sprintf("ip link add %s type veth peer name %s netns %s", name, far, ns),
			fmt.Sprintf("ip link set %s up; ip -n %s link set %s up", name, ns, far),
		}
	}
	short := fmt.Sprintf("%s%d", e.letters(), e.number)
	up := fmt.Sprintf("ip link set %s up; ip -n %s link set eth0 up", dev, ns)
	switch e.kind {
	case "veth":
		return veth(dev, "eth0")
	case "bridge":
		return append(veth(short, "eth0"), "ip link add "+dev+" type bridge forward_delay 0 mcast_snooping 0", "ip link set "+short+" master "+dev, up)
	case "bond":
		return append(veth(short, "eth0"), "ip link add "+dev+" type bond mode active-backup miimon 50", "ip link set "+short+" down; ip link set "+short+" master "+dev, up)
	case "vlan":
		return append(veth(short, "trunk"), "ip link add link "+short+" name "+dev+" type vlan id 100",
			"ip -n "+ns+" link add link trunk name eth0 type vlan id 100", up)
	case "ipip", "gre": // a tunnel over a link of its own; of both families by a second one would be sit
		under := fmt.Sprintf("10.50.%d.%%d", e.number)
		if e.server {
			under = fmt.Sprintf("10.51.%d.%%d", e.number)
		}
		here, there := fmt.Sprintf(under, 1), fmt.Sprintf(under, 2)
		kind := map[string]string{"ipip": "ip6tnl mode any", "gre": "gre"}[e.kind]
		lines := veth(short, "under")
		if e.kind == "ipip" { // the one tunnel that takes both families
			here, there = fmt.Sprintf("fd50:%d%d::1", len(e.letters()+ns), e.number), fmt.Sprintf("fd50:%d%d::2", len(e.letters()+ns), e.number)
			if e.server {
				here, there = strings.Replace(here, "fd50", "fd51", 1), strings.Replace(there, "fd50", "fd51", 1)
			}
			lines = append(lines, "ip addr add "+here+"/64 dev "+short+" nodad", "ip -n "+ns+" addr add "+there+"/64 dev under nodad")
		} else {
			lines = append(lines, "ip addr add "+here+"/24 dev "+short, "ip -n "+ns+" addr add "+there+"/24 dev under")
		}
		return append(lines, fmt.Sprintf("ip link add %s type %s local %s remote %s", dev, kind, here, there),
			fmt.Sprintf("ip -n %s link add eth0 type %s local %s remote %s", ns, kind, there, here), up)
	}
	if e.kind == "wireguard" {
		return append(veth(short, "under"), wireguard(e, short)...)
	}
	first, second := n.card, n.card+1 // cards of this kind
	n.card += 2
	rename := func(number int, to string) string {
		return fmt.Sprintf("for d in /sys/class/net/*; do [ \"$(cat $d/address 2>/dev/null)\" != 52:54:00:00:00:%02x ] || card=${d##*/}; done; ip link set $card down; ip link set $card name %s", number, to)
	}
	if strings.HasSuffix(e.kind, "-vlan") { // such a card leaves the tags in the bytes
		return []string{rename(first, short), rename(second, "far0"), "ip link set far0 netns " + ns, "ip link set " + short + " up; ip -n " + ns + " link set far0 up",
			"ip link add link " + short + " name " + dev + " type vlan id 100", "ip -n " + ns + " link add link far0 name eth0 type vlan id 100", up}
	}
	return []string{rename(first, dev), rename(second, "far0"), "ip link set far0 netns " + ns, "ip -n " + ns + " link set far0 name eth0", up}
}

// wireguard are the lines that make a tunnel of wireguard over the link between a device of
// the director's and the end's device under; each side takes all addresses from the other.
func wireguard(e end, device string) []string {
	ns, net, port := e.namespace(), fmt.Sprintf("10.52.%d.", e.number), 52000+e.number
	if e.server {
		net, port = fmt.Sprintf("10.53.%d.", e.number), 53000+e.number
	}
	side := func(in, name, own, far string) string {
		return fmt.Sprintf("%s wg set %s private-key <(echo $%s) listen-port %d peer $(wg pubkey <<<$%s) allowed-ips 0.0.0.0/0,::/0 endpoint %s:%d",
			in, name, own, port, far, net+map[string]string{"here": "1", "there": "2"}[far], port)
	}
	inside := "ip netns exec " + ns
	return []string{
		"ip addr add " + net + "1/24 dev " + device, "ip -n " + ns + " addr add " + net + "2/24 dev under",
		"ip link add " + e.device() + " type wireguard", inside + " ip link add eth0 type wireguard",
		"here=$(wg genkey) there=$(wg genkey)",
		side("", e.device(), "here", "there"), side(inside, "eth0", "there", "here"),
		"ip link set " + e.device() + " up", "ip -n " + ns + " link set eth0 up",
	}
}

// routes are those of the clients to the VIPs, those of the servers back to the clients,
// and the VIPs.
func (n *network) routes() error {
	var lines []string
	all := map[string]string{"IPv4": "10.99.0.0/16", "IPv6": "fd99::/16"}
	for _, f := range families {
		for _, c := range n.clients {
			lines = append(lines, fmt.Sprintf("ip -n %s route add %s via %s src %s", c.namespace(), all[f], c.address(f, 1), c.address(f, c.own())))
		}
		for _, s := range n.servers {
			ns, own := s.namespace(), s.address(f, s.own())
			flag := map[string]string{"IPv6": "-6 "}[f]
			lines = append(lines, fmt.Sprintf("ip %s-n %s rule add from %s table 100", flag, ns, own),
				fmt.Sprintf("ip %s-n %s route add default via %s dev eth0 table 100", flag, ns, s.address(f, 1)))
			for _, c := range n.clients {
				lines = append(lines, fmt.Sprintf("ip -n %s route add %s%s via %s", ns, c.address(f, c.own()), bits[f], c.back(f)))
			}
			for _, m := range methods {
				lines = append(lines, "ip addr add "+s.vip(m, f)+bits[f]+" dev lo", "ip -n "+ns+" addr add "+s.vip(m, f)+bits[f]+" dev lo")
			}
		}
	}
	lines = append(lines, "ip addr add "+nobody["IPv4"]+"/32 dev lo", "ip addr add "+nobody["IPv6"]+"/128 dev lo")
	for _, s := range n.servers { // the kernel's own tunnels take packets out of theirs
		lines = append(lines, "ip -n "+s.namespace()+" link set tunl0 up", "ip -n "+s.namespace()+" link set ip6tnl0 up")
	}
	return sh(lines...)
}

// config has a service for each server, method and family, and those whose server has no
// weight.
func (n *network) config() string {
	var b strings.Builder
	for _, f := range families {
		for _, protocol := range []string{"TCP", "UDP"} {
			fmt.Fprintf(&b, "virtual_server %s 80 {\n    lb_algo rr\n    lb_kind DR\n    protocol %s\n    real_server %s 80 {\n        weight 0\n    }\n}\n",
				nobody[f], protocol, n.servers[0].address(f, n.servers[0].own()))
		}
	}
	for _, s := range n.servers {
		for _, m := range methods {
			for _, f := range families {
				fmt.Fprintf(&b, "virtual_server %s 80 {\n    lb_algo rr\n    lb_kind %s\n    protocol TCP\n    real_server %s 80 {\n        weight 1\n    }\n}\n",
					s.vip(m, f), m, s.address(f, s.own()))
			}
		}
	}
	return b.String()
}
