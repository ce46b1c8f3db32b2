package attach

import (
	"maps"
	"net"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/lvs"
)

// testPort is a device of the tests; a card has the driver virtio_net.
func testPort(name, kind string, wanted lvs.Hook) port {
	p := port{wanted: wanted, link: netlnk.Link{Name: name, Kind: kind, Driver: kind, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}
	switch kind {
	case "device":
		p.link.Driver = "virtio_net"
	case "tun", "wireguard", "ipip":
		p.link.MAC, p.link.Layer3 = nil, true
	}
	return p
}

// XDP is chosen only where each device by which packets leave is known to send what XDP
// redirects to it.
func TestChoose(t *testing.T) {
	const eth1, eth2, eth3 = 1, 2, 3
	card := func(name string) port { return testPort(name, "device", lvs.HookAuto) }
	for _, tt := range []struct {
		name  string
		ports map[int]port
		exits Exits
		want  string // devices that must not take XDP, with words of the reason
	}{
		{"packets leave where they come in", map[int]port{eth1: card("eth1")}, Exits{eth1}, ""},
		{"no server yet", map[int]port{eth1: card("eth1")}, Exits{}, ""},
		{"servers behind a second card without programs",
			map[int]port{eth1: card("eth1"), eth2: testPort("eth2", "device", "")}, Exits{eth2}, "eth1: no XDP program"},
		{"both cards have programs", map[int]port{eth1: card("eth1"), eth2: card("eth2")}, Exits{eth2}, ""},
		{"the second card has them at tc",
			map[int]port{eth1: card("eth1"), eth2: testPort("eth2", "device", lvs.HookTC)}, Exits{eth2}, "eth1: no XDP program"},
		{"the second card's driver has no XDP",
			map[int]port{eth1: card("eth1"), eth2: {link: card("eth2").link, wanted: lvs.HookAuto, refused: "not supported"}},
			Exits{eth2}, "eth1: not to be had"},
		{"the second card sends nothing for XDP",
			map[int]port{eth1: card("eth1"), eth2: {link: card("eth2").link, wanted: lvs.HookAuto, mute: "whose driver is mute"}},
			Exits{eth2}, "eth1: mute"},
		{"one that loses XDP takes it from another", map[int]port{
			eth1: card("eth1"), eth2: card("eth2"), eth3: testPort("eth3", "device", lvs.HookTC),
		}, Exits{eth2, eth3}, "eth1: no XDP program, eth2: no XDP program"},
		{"a bridge", map[int]port{eth1: card("eth1"), eth2: testPort("br0", "bridge", lvs.HookAuto)}, Exits{eth2}, "eth1: bridge"},
		{"veth whose peer takes frames", map[int]port{eth1: card("eth1"), eth2: testPort("veth0", "veth", "")}, Exits{eth2}, ""},
		{"a tunnel", map[int]port{eth1: card("eth1"), eth2: testPort("wg0", "wireguard", "")}, Exits{eth1, eth2}, "eth1: no Ethernet"},
		{"a card that has lost XDP, and the one that it has lost it to", map[int]port{
			eth1: card("eth1"), eth2: card("eth2"), eth3: {link: card("eth3").link, wanted: lvs.HookAuto, mute: "whose driver is mute"},
		}, Exits{eth1, eth2, eth3}, "eth1: eth3, eth2: eth3, eth3: eth1"},
		{"a bridge for clients only",
			map[int]port{eth1: card("eth1"), eth2: testPort("docker0", "bridge", lvs.HookAuto)}, Exits{eth1}, ""},
		{"native XDP is asked for",
			map[int]port{eth1: testPort("eth1", "device", lvs.HookNative), eth2: testPort("eth2", "device", "")}, Exits{eth2}, "eth1: no XDP program"},
		{"generic XDP sends to each that has Ethernet",
			map[int]port{eth1: testPort("eth1", "device", lvs.HookGeneric), eth2: testPort("eth2", "device", "")}, Exits{eth2}, ""},
		{"generic XDP and a tunnel",
			map[int]port{eth1: testPort("eth1", "device", lvs.HookGeneric), eth2: testPort("tun0", "tun", "")}, Exits{eth2}, "eth1: no Ethernet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := choose(tt.ports, tt.exits)
			got := c.avoid
			for range 20 {
				if again := choose(tt.ports, tt.exits).avoid; !maps.Equal(again, got) {
					t.Fatalf("the same devices give other reasons: %v and %v", again, got)
				}
			}
			for _, want := range strings.Split(tt.want, ", ") {
				name, words, _ := strings.Cut(want, ": ")
				for index, p := range tt.ports {
					if native := p.wanted == lvs.HookNative || auto(p.wanted) && p.mayBeNative() && got[index] == ""; native != c.sends[index] && p.mute == "" {
						t.Errorf("%s: sends for XDP: %t, native: %t", p.link.Name, c.sends[index], native)
					}
					if p.link.Name == name && !strings.Contains(got[index], words) || name == "" && got[index] != "" {
						t.Errorf("%s: %q, want %q", p.link.Name, got[index], words)
					}
					if !strings.Contains(tt.want, p.link.Name+": ") && got[index] != "" {
						t.Errorf("%s: %q, want XDP", p.link.Name, got[index])
					}
				}
			}
		})
	}
}
