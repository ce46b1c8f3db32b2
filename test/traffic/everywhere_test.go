package traffic

import (
	"testing"

	"weir/internal/lab"
)

// Clients reach a VIP by whichever device, as with IPVS: by a bridge for containers and by a
// second network, neither of which is the VIP's.
func TestTrafficByOtherDevices(t *testing.T) {
	for _, tt := range []struct{ name, hook, other string }{
		{"a bridge", "auto", "bridge"},
		{"a second network", "auto", "veth"},
		{"a bridge, and answers meet XDP, which cannot send to it", "native", "bridge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &network{t: t, hook: tt.hook, mtu: wide, other: tt.other}
			n.build()
			for _, k := range kinds {
				if k.method == "NAT" {
					t.Run(k.String(), func(t *testing.T) { n.carry(t, k) })
				}
			}
		})
	}
}

// byOther connects the client to the director by one more device, and has it reach the VIPs
// by that.
func (n *network) byOther() {
	if n.other == "" {
		return
	}
	port := "other0"
	ns := n.Node("director").Namespace()
	if n.other == "bridge" {
		port = "port0"
		n.ip("director", "link add other0 type bridge forward_delay 0 mcast_snooping 0", "link set other0 up")
	}
	n.must(lab.Connect(lab.LinkEnd{Namespace: ns, Name: port}, lab.LinkEnd{Namespace: n.Client(), Name: "pod0"}))
	n.must(ns.SetUp(port))
	n.must(n.Client().SetUp("pod0"))
	if port != "other0" {
		n.ip("director", "link set "+port+" master other0")
	}
	n.ip("director", "addr add 172.17.0.1/24 dev other0", "addr add fd17::1/64 dev other0 nodad")
	n.ip("client", "addr add 172.17.0.5/24 dev pod0", "addr add fd17::5/64 dev pod0 nodad",
		"route add "+vip4.String()+" via 172.17.0.1 src 172.17.0.5", "route add "+vip6.String()+" via fd17::1 src fd17::5")
	n.ip("nat", "route add 172.17.0.5 via "+director.addr4().String(), "route add fd17::5 via "+director.addr6().String())
}
