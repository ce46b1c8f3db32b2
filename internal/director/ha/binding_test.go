package ha

import (
	"net/netip"
	"testing"

	"weir/conf"
	"weir/internal/netlnk"
)

// Unicast peers of IPv6 know a machine by its address in their network, whichever others it has.
func TestSourceForPeers(t *testing.T) {
	address := func(p string) netlnk.Address {
		return netlnk.Address{Dev: "eth0", Prefix: netip.MustParsePrefix(p)}
	}
	p := netlnk.NewPicture([]netlnk.Link{{Index: 2, Name: "eth0", Up: true}}, []netlnk.Address{
		address("2001:db8:9::1/64"), address("fd00::1/64"), address("fe80::1/64"),
	})
	for _, tt := range []struct {
		name  string
		peers []string
		want  string
	}{
		{"no peer", nil, "fe80::1"},
		{"a peer of the first network", []string{"2001:db8:9::2"}, "2001:db8:9::1"},
		{"a peer of another network", []string{"fd00::2"}, "fd00::1"},
		{"one of several peers", []string{"2001:db8:7::2", "fd00::2"}, "fd00::1"},
		{"a peer behind a router", []string{"2001:db8:7::2"}, "2001:db8:9::1"},
		{"a peer on the link", []string{"fe80::2"}, "fe80::1"},
	} {
		c := conf.VRRPInstance{Name: "V", Interface: "eth0", VIPs: []conf.VIP{{Prefix: netip.MustParsePrefix("2001:db8:9::100/128"), Device: "eth0"}}}
		for _, a := range tt.peers {
			c.Peers = append(c.Peers, conf.Peer{Addr: netip.MustParseAddr(a)})
		}
		b := Bind(c, p, map[netip.Addr]bool{netip.MustParseAddr("2001:db8:9::100"): true})
		if b.Source.String() != tt.want || b.Fault != "" {
			t.Errorf("%s: from %s, fault %q, want %s", tt.name, b.Source, b.Fault, tt.want)
		}
	}
}
