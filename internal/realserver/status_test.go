package realserver_test

import (
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

// Status reports each fault in words, with the command that repairs it.
func TestStatus(t *testing.T) {
	tests := []struct {
		name string
		// spoil are ip commands, or "device name value" of a sysctl.
		spoil []string
		want  []string
	}{
		{"all is well", nil, nil},
		{"address gone", []string{"ip address del 192.168.25.100/32 dev lo"}, []string{
			"192.168.25.100 is not on lo: run weir realserver start --vip 192.168.25.100"}},
		{"with its subnet", []string{"ip address add 192.168.25.100/24 dev lo"}, []string{
			"192.168.25.100 is on lo with its subnet, so this machine takes all of 192.168.25.0/24 for its own: run ip address del 192.168.25.100/24 dev lo"}},
		{"answers ARP", []string{"all arp_ignore 0"}, []string{
			"arp_ignore of all is 0, expected 1: this machine answers ARP for the VIP; run weir realserver start --vip ADDRESS"}},
		{"answers ARP, the value is larger", []string{"all arp_ignore 3"}, []string{
			"arp_ignore of all is 3, expected 1: this machine answers ARP for the VIP; run weir realserver start --vip ADDRESS"}},
		{"tells in requests", []string{"all arp_announce 1"}, []string{
			"arp_announce of all is 1, expected 2: this machine's ARP requests may tell others that the VIP is here; run weir realserver start --vip ADDRESS"}},
		{"lo changed", []string{"lo arp_ignore 0"}, []string{
			"arp_ignore of lo is 0, expected 1: something has changed it since start; run weir realserver start --vip ADDRESS"}},
		{"a device overrides all", []string{"ens160 arp_ignore 3"}, []string{
			"arp_ignore of ens160 is 3, which overrides 1 of all: this machine answers ARP for the VIP; run sysctl -w net/ipv4/conf/ens160/arp_ignore=1"}},
		{"a stricter value is right", []string{"all arp_ignore 2", "ens160 arp_ignore 8"}, nil},
		{"lo down", []string{"ip link set lo down"}, []string{
			"lo is down, so this machine takes no packets for its addresses: run ip link set lo up"}},
		{"on another device", []string{"ip address add 192.168.25.100/24 dev ens160"}, []string{
			"192.168.25.100 is on ens160, too, where this machine answers ARP for it: unless it is the master director, run ip address del 192.168.25.100/24 dev ens160"}},
		{"on a device that is down", []string{"ip address add 192.168.25.100/24 dev ens160", "ip link set ens160 down"}, nil},
		{"two faults", []string{"ip address del 192.168.25.100/32 dev lo", "all arp_ignore 0"}, []string{
			"192.168.25.100 is not on lo: run weir realserver start --vip 192.168.25.100",
			"arp_ignore of all is 0, expected 1: this machine answers ARP for the VIP; run weir realserver start --vip ADDRESS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
				nstest.Veth(n, "ens160", n, "peer")
				must(t, rs.Start(vips{vip}))
				for _, s := range tt.spoil {
					f := strings.Fields(s)
					if f[0] == "ip" {
						n.IP(f[1:]...)
					} else {
						set(t, f[0], f[1], f[2])
					}
				}
				rep, err := rs.Status(nil)
				must(t, err)
				if !slices.Equal(rep.Problems, tt.want) {
					t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(rep.Problems, "\n"), strings.Join(tt.want, "\n"))
				}
				if !slices.Equal(rep.VIPs, vips{vip}) {
					t.Errorf("looked at %v, want %v", rep.VIPs, vip)
				}
				if len(tt.spoil) > 0 && tt.spoil[0] == "ip address add 192.168.25.100/24 dev lo" {
					return
				}
				// Where Start can repair the fault, it does.
				must(t, rs.Start(vips{vip}))
				rep, err = rs.Status(vips{vip})
				must(t, err)
				for _, p := range rep.Problems {
					if strings.Contains(p, "weir realserver start") {
						t.Errorf("after another start: %s", p)
					}
				}
			})
		})
	}
}

func TestStatusOfNothing(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		rep, err := rs.Status(nil)
		must(t, err)
		want := []string{"no virtual address has been started here: run weir realserver start --vip ADDRESS"}
		if !slices.Equal(rep.Problems, want) {
			t.Errorf("problems %q, want %q", rep.Problems, want)
		}
		check(t, "status", "0000 ")
	})
}

// A director that is also a real server has the address on both devices while it is
// master. Every later Status knows that, also one from the command line.
func TestStatusOnADirector(t *testing.T) {
	inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		nstest.Veth(n, "ens160", n, "peer")
		n.IP("address", "add", "192.168.25.100/32", "dev", "ens160")
		must(t, rs.Start(vips{vip}, "ens161"))
		must(t, rs.Start(vips{vip}, "ens160")) // a reload has moved it
		must(t, rs.Start(vips{vip}))
		rep, err := rs.Status(nil)
		must(t, err)
		want := []string{"192.168.25.100 is on ens160, too: this machine is the master director"}
		if len(rep.Problems) != 0 || !slices.Equal(rep.Notes, want) {
			t.Errorf("problems %q, notes %q, want none and %q", rep.Problems, rep.Notes, want)
		}
		must(t, rs.Stop(nil))
		if out := n.IP("address", "show", "dev", "ens160"); !strings.Contains(out, "192.168.25.100/32") {
			t.Errorf("stop took the address from ens160:\n%s", out)
		}
	})
}
