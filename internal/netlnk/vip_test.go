package netlnk_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// A VIP carries weir's mark, and is never the source of a new flow where it is deprecated.
// One that the device had keeps its mark.
func TestAddVIP(t *testing.T) {
	near, _ := pair(t)
	near.IP("address", "add", "fd25::102/128", "dev", "ens160", "nodad")
	source := func() string {
		out := near.IP("-6", "route", "get", "fd25::32")
		_, rest, _ := strings.Cut(out, " src ")
		return strings.Fields(rest)[0]
	}
	for _, tt := range []struct {
		p         string
		preferred uint32
		changed   bool
		want      netlnk.Address
	}{
		{"192.168.25.100/32", 0, true, netlnk.Address{AddedBy: netlnk.AddedByWeir}},
		{"192.168.25.101/24", netlnk.PreferredForever, true, netlnk.Address{AddedBy: netlnk.AddedByWeir, Secondary: true}},
		{"192.168.25.101/24", netlnk.PreferredForever, false, netlnk.Address{AddedBy: netlnk.AddedByWeir, Secondary: true}},
		{"fd25::100/128", 0, true, netlnk.Address{AddedBy: netlnk.AddedByWeir, Deprecated: true}},
		{"fd25::101/64", 0, true, netlnk.Address{AddedBy: netlnk.AddedByWeir, Deprecated: true}},
		{"fd25::101/64", 0, false, netlnk.Address{AddedBy: netlnk.AddedByWeir, Deprecated: true}},
		{"fd25::103/128", netlnk.PreferredForever, true, netlnk.Address{AddedBy: netlnk.AddedByWeir}},
		{"fd25::103/128", 0, false, netlnk.Address{AddedBy: netlnk.AddedByWeir, Deprecated: true}},
		{"fd25::103/128", 3600, false, netlnk.Address{AddedBy: netlnk.AddedByWeir}},
		{"fd25::103/128", 0, false, netlnk.Address{AddedBy: netlnk.AddedByWeir, Deprecated: true}},
		{"fd25::102/128", 0, false, netlnk.Address{Deprecated: true}},
	} {
		near.Do(func() {
			changed, err := netlnk.AddVIP("ens160", prefix(tt.p), tt.preferred, netlnk.AddressOptions{Broadcast: map[bool]string{true: "+"}[strings.Contains(tt.p, ".")]})
			if err != nil || changed != tt.changed {
				t.Fatalf("AddVIP %s: %v, %v, want %v", tt.p, changed, err, tt.changed)
			}
			all, err := netlnk.ListAddresses("ens160")
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Dev, tt.want.Prefix = "ens160", prefix(tt.p)
			if !slices.Contains(all, tt.want) {
				t.Errorf("%s for %d s: %+v, want %+v", tt.p, tt.preferred, all, tt.want)
			}
		})
	}
	if got := source(); got != "fd25::31" {
		t.Errorf("the kernel takes %s as source, want the machine's own address", got)
	}
	near.Do(func() {
		all, err := netlnk.ListAddresses("")
		if err != nil || !slices.ContainsFunc(all, func(a netlnk.Address) bool { return a.Dev == "lo" }) {
			t.Errorf("all addresses: %+v, %v, want those of lo, too", all, err)
		}
		_, gone := netlnk.AddVIP("nosuch", prefix("192.168.25.100/32"), 0, netlnk.AddressOptions{})
		_, none := netlnk.ListAddresses("nosuch")
		if !errors.Is(gone, netlnk.ErrNoDevice) || !errors.Is(none, netlnk.ErrNoDevice) {
			t.Errorf("no device: %v, %v", gone, none)
		}
	})
	if out := near.IP("address", "show", "to", "192.168.25.101"); !strings.Contains(out, "brd 192.168.25.255") {
		t.Errorf("the broadcast address is missing: %s", out)
	}
}

// A VIP is not the source of what this machine sends to its neighbours, where the device's own
// address reaches them. With another network the VIP's is reached by the VIP's route.
func TestVIPOfSmallerNetwork(t *testing.T) {
	near, _ := pair(t)
	near.IP("address", "add", "10.9.0.1/16", "dev", "ens160")
	for _, tt := range []struct{ vip, to, source string }{
		{"10.9.0.100/24", "10.9.0.31", "10.9.0.1"},
		{"10.9.1.100/32", "10.9.1.31", "10.9.0.1"},
		{"10.9.2.100/16", "10.9.2.31", "10.9.0.1"},
		{"10.10.0.100/16", "10.10.0.31", "10.10.0.100"},
		{"10.10.0.101/24", "10.10.0.31", "10.10.0.101"}, // beside a VIP, as the kernel has it
	} {
		near.Do(func() {
			if _, err := netlnk.AddVIP("ens160", prefix(tt.vip), 0, netlnk.AddressOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		if out := near.IP("route", "get", tt.to); !strings.Contains(out, "src "+tt.source+" ") {
			t.Errorf("with VIP %s: %s, want source %s", tt.vip, out, tt.source)
		}
	}
	near.IP("route", "flush", "dev", "ens160")
	near.Do(func() { // nothing leads there but what the VIP brings
		if _, err := netlnk.AddVIP("ens160", prefix("10.9.9.100/24"), 0, netlnk.AddressOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	if out := near.IP("route", "get", "10.9.9.31"); !strings.Contains(out, "src 10.9.9.100 ") {
		t.Errorf("without a route to the larger network: %s", out)
	}
}

// The source of advertisements is the device's own address, whoever has put VIPs there.
func TestPrimaryAddr(t *testing.T) {
	near, _ := pair(t)
	vip := []netip.Addr{addr("192.168.25.100")}
	for _, tt := range []struct {
		name    string
		add     []string // in this order
		exclude []netip.Addr
		want    string
	}{
		{"first", []string{"192.168.25.31/24", "192.168.25.40/24", "192.168.25.100/32"}, nil, "192.168.25.31"},
		{"behind a VIP that is excluded", []string{"192.168.25.100/24", "10.0.0.1/24"}, vip, "10.0.0.1"},
		{"behind another program's VIP", []string{"192.168.25.100/32", "192.168.25.31/24"}, nil, "192.168.25.31"},
		{"a host's, the only one", []string{"192.168.25.31/32"}, nil, "192.168.25.31"},
		{"a host's beside VIPs", []string{"192.168.25.31/32", "192.168.25.40/32", "192.168.25.100/32"}, vip, "192.168.25.31"},
		{"none", nil, nil, ""},
		{"only VIPs", []string{"192.168.25.100/24"}, vip, ""},
		{"after a VIP of its network", []string{"192.168.25.100/24", "192.168.25.31/24"}, vip, "192.168.25.31"},
	} {
		near.IP("-4", "address", "flush", "dev", "ens160")
		for _, p := range tt.add {
			near.IP("address", "add", p, "dev", "ens160")
		}
		near.Do(func() {
			got, err := primaryAddr(tt.exclude)
			if tt.want == "" && err == nil || tt.want != "" && (err != nil || got.String() != tt.want) {
				t.Errorf("%s: %v, %v, want %q", tt.name, got, err, tt.want)
			}
		})
	}
	near.IP("-4", "address", "flush", "dev", "ens160")
	near.Do(func() {
		if _, err := netlnk.AddVIP("ens160", prefix("10.0.0.9/24"), 0, netlnk.AddressOptions{}); err != nil {
			t.Fatal(err)
		}
		near.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
		if got, err := primaryAddr(nil); got != addr("192.168.25.31") || err != nil {
			t.Errorf("behind a VIP of another weir: %v, %v, want 192.168.25.31", got, err)
		}
	})
}

// primaryAddr is that of ens160 in the calling thread's namespace.
func primaryAddr(exclude []netip.Addr) (netip.Addr, error) {
	p, err := netlnk.Look()
	if err != nil {
		return netip.Addr{}, err
	}
	return p.PrimaryAddr("ens160", func(a netip.Addr) bool { return slices.Contains(exclude, a) })
}

// Where IPv6 is switched off on a device, the error says so.
func TestVIPWithoutIPv6(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/ens160/disable_ipv6", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, vip := netlnk.AddVIP("ens160", prefix("fd25::100/128"), 0, netlnk.AddressOptions{})
		_, other := netlnk.AddAddress("ens160", prefix("fd25::101/128"))
		for _, err := range []error{vip, other} {
			if err == nil || !strings.Contains(err.Error(), "net.ipv6.conf.ens160.disable_ipv6") {
				t.Errorf("the error is %v, want the sysctl's name", err)
			}
		}
	})
}

// The source of advertisements of IPv6 is an address by which peers may know the machine: one
// that lasts, of those that it has.
func TestPrimaryAddr6(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/ens160/use_tempaddr", []byte("2"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	local := func() (a netip.Addr) {
		near.Do(func() {
			list, err := netlnk.ListAddresses("ens160")
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range list {
				if l.Prefix.Addr().IsLinkLocalUnicast() {
					a = l.Prefix.Addr()
				}
			}
		})
		return a
	}()
	vip := []netip.Addr{addr("fd25::100")}
	for _, tt := range []struct {
		name  string
		add   []string // in this order; the kernel lists the latest first
		scope netlnk.Scope
		want  netip.Addr
	}{
		{"a temporary one beside it", []string{"fd25::31/64 mngtmpaddr"}, netlnk.Global, addr("fd25::31")},
		{"of router advertisements beside it", []string{"fd25::31/64", "fd26::7/64 valid_lft 3600 preferred_lft 3600"}, netlnk.Global, addr("fd25::31")},
		{"of router advertisements and temporary ones", []string{"fd25::7/64 valid_lft 3600 preferred_lft 3600 mngtmpaddr"}, netlnk.Global, addr("fd25::7")},
		{"VIPs of other programs beside it", []string{"fd25::31/64", "fd25::200/128", "fd25::201/64 preferred_lft 0"}, netlnk.Global, addr("fd25::31")},
		{"only one of a host", []string{"fd25::31/128", "fd25::100/64"}, netlnk.Global, addr("fd25::31")},
		{"only a deprecated one", []string{"fd25::31/64 preferred_lft 0"}, netlnk.Global, addr("fd25::31")},
		{"none but a VIP", []string{"fd25::100/64"}, netlnk.Global, local},
		{"a VIP of the link beside its own", []string{"fd25::31/64", "fe80::100/128"}, netlnk.LinkLocal, local},
	} {
		near.IP("-6", "address", "flush", "dev", "ens160", "scope", "global")
		for _, a := range tt.add {
			near.IP(strings.Fields("address add " + a + " dev ens160 nodad")...)
		}
		near.Do(func() {
			nstest.WaitFor(t, "the temporary address", func() bool {
				list, err := netlnk.ListAddresses("ens160")
				if err != nil {
					t.Fatal(err)
				}
				usable := func(a netlnk.Address) bool { return a.Temporary && !a.Tentative }
				return !strings.Contains(strings.Join(tt.add, " "), "mngtmpaddr") || slices.ContainsFunc(list, usable)
			})
			p, err := netlnk.Look()
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.PrimaryAddr6("ens160", tt.scope, func(a netip.Addr) bool { return slices.Contains(vip, a) })
			if err != nil || got != tt.want {
				t.Errorf("%s: %v, %v, want %v of %+v", tt.name, got, err, tt.want, p.Addresses("ens160"))
			}
		})
	}
}
