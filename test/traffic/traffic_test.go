// Package traffic carries real traffic of every kind through weir with every forward method,
// from real sockets to real sockets.
package traffic

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/lab"
)

// kind is a kind of traffic: a service of its own.
type kind struct {
	method, family, proto string
	outer                 string // the family of the tunnel, where it is not the inner one
}

var kinds = func() (all []kind) {
	for _, method := range []string{"NAT", "TUN", "DR"} {
		for _, family := range []string{"IPv4", "IPv6"} {
			for _, proto := range []string{"TCP", "UDP"} {
				all = append(all, kind{method: method, family: family, proto: proto})
			}
		}
	}
	return all
}()

// mixed are tunnels whose outer family is not the inner one.
var mixed = []kind{
	{method: "TUN", family: "IPv4", proto: "TCP", outer: "IPv6"},
	{method: "TUN", family: "IPv6", proto: "TCP", outer: "IPv4"},
}

// String is its name in the tests.
func (k kind) String() string {
	return strings.Join(strings.Fields(k.method+" "+k.family+" "+k.proto+" "+k.outer), " ")
}

// service is the address that clients connect to, and server the one that the server listens
// on.
func (k kind) service() netip.AddrPort {
	vip := map[string]netip.Addr{"IPv4": vip4, "IPv6": vip6}[k.family]
	if k.outer != "" {
		return netip.AddrPortFrom(vip, 8004)
	}
	return netip.AddrPortFrom(vip, map[string]uint16{"NAT": 8001, "TUN": 8002, "DR": 8003}[k.method])
}

func (k kind) server(n *network) (name string, listen netip.AddrPort) {
	if k.method != "NAT" {
		return n.own.name, k.service()
	}
	if k.family == "IPv4" {
		return n.nat.name, netip.AddrPortFrom(n.at(n.nat).addr4(), 9001)
	}
	return n.nat.name, netip.AddrPortFrom(n.at(n.nat).addr6(), 9001)
}

// config is the configuration of a director with all services.
func (n *network) config() string {
	var b strings.Builder
	for _, k := range slices.Concat(kinds, mixed) {
		at := k.service()
		_, server := k.server(n)
		rip := server
		if k.method != "NAT" {
			rip = netip.AddrPortFrom(n.at(n.own).addr4(), at.Port())
			if cmp.Or(k.outer, k.family) == "IPv6" {
				rip = netip.AddrPortFrom(n.at(n.own).addr6(), at.Port())
			}
		}
		fmt.Fprintf(&b, "virtual_server %s %d {\n    lb_algo rr\n    lb_kind %s\n    protocol %s\n    real_server %s %d {\n        weight 1\n    }\n}\n",
			at.Addr(), at.Port(), k.method, k.proto, rip.Addr(), rip.Port())
	}
	b.WriteString(n.refusals())
	b.WriteString("weir {\n")
	for _, name := range n.devices() {
		if n.hook == "auto" || name == "other0" { // it is everywhere
			continue
		}
		fmt.Fprintf(&b, "    device %s {\n        hook %s\n    }\n", name, n.hook)
	}
	b.WriteString("}\n")
	return b.String()
}

// devices are the director's.
func (n *network) devices() []string {
	switch {
	case n.two:
		return []string{device, second}
	case n.other != "":
		return []string{device, "other0"}
	case n.tun == "client":
		return []string{device, "tun0"}
	case n.tun == "servers":
		return []string{device, "tun0", "tun1"}
	}
	return []string{device}
}

// 20 MB in each direction arrive byte by byte, and the counters of the director's devices
// show the bytes that should pass it: both directions with NAT, otherwise only the client's.
func TestTraffic(t *testing.T) {
	for _, hook := range []string{"native", "generic", "tc"} {
		for _, two := range []bool{false, true} {
			networks := map[bool]string{false: "one network", true: "two networks"}[two]
			t.Run(hook+" "+networks, func(t *testing.T) {
				n := newNetwork(t, hook, two, wide)
				for _, k := range kinds {
					t.Run(k.String(), func(t *testing.T) { n.carry(t, k) })
				}
			})
		}
	}
}

func (n *network) carry(t *testing.T, k kind) {
	name, listen := k.server(n)
	server := n.Node(name).Namespace()
	carry := carryTCP
	if k.proto == "UDP" {
		carry = carryUDP
	}
	before := n.counted(t)
	if err := carry(n.Client(), server, k.service(), listen); err != nil {
		t.Fatal(err)
	}
	passed := n.counted(t).Sub(before)
	want := uint64(len(up))
	if k.method == "NAT" {
		want += uint64(len(down))
	}
	for what, got := range map[string]uint64{"received": passed.RxBytes, "sent": passed.TxBytes} {
		if got < want || got > want+want/5 { // with headers and acknowledgements
			t.Errorf("the director %s %d bytes, want %d to %d", what, got, want, want+want/5)
		}
	}
	if passed.RxDropped+passed.TxDropped > 0 {
		t.Logf("the director's devices dropped %d and %d packets", passed.RxDropped, passed.TxDropped)
	}
}

// counted is the sum of the counters of all devices of the director.
func (n *network) counted(t *testing.T) (sum lab.Counters) {
	t.Helper()
	for _, name := range n.devices() {
		c, err := n.Counters("director", name)
		if err == nil && name == second { // for which the lab does not ask the switch
			var port lab.Counters
			port, err = n.Counters("switch", "director2")
			c.TxBytes = port.RxBytes
		}
		if err != nil {
			t.Fatal(err)
		}
		sum.RxBytes, sum.TxBytes = sum.RxBytes+c.RxBytes, sum.TxBytes+c.TxBytes
		sum.RxDropped, sum.TxDropped = sum.RxDropped+c.RxDropped, sum.TxDropped+c.TxDropped
	}
	return sum
}
