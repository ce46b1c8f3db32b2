package netlnk_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// pair makes two namespaces that a veth pair connects: near (192.168.25.31, fd25::31) and
// far (192.168.25.32, fd25::32), each on its ens160.
func pair(t *testing.T) (near, far *nstest.Namespace) {
	t.Helper()
	near, far = nstest.New(t, "near"), nstest.New(t, "far")
	nstest.Veth(near, "ens160", far, "ens160")
	for n, host := range map[*nstest.Namespace]string{near: "31", far: "32"} {
		n.IP("address", "add", "192.168.25."+host+"/24", "dev", "ens160")
		n.IP("address", "add", "fd25::"+host+"/64", "dev", "ens160", "nodad")
	}
	near.Do(func() {
		nstest.WaitFor(t, "carrier on ens160", func() bool { return link(t, "ens160").Up })
	})
	return near, far
}

func link(t *testing.T, dev string) netlnk.Link {
	t.Helper()
	l, err := netlnk.LinkByName(dev)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLinkByName(t *testing.T) {
	near, far := pair(t)
	near.Do(func() {
		l := link(t, "ens160")
		if l.Driver != "veth" || l.Kind != "veth" || l.MTU != 1500 || len(l.MAC) != 6 || l.Index == 0 {
			t.Errorf("ens160 = %+v, want a veth with driver veth, MTU 1500 and a MAC", l)
		}
		if !strings.Contains(near.IP("link", "show", "ens160"), l.MAC.String()) {
			t.Errorf("MAC %s is not what ip link shows", l.MAC)
		}
		if lo := link(t, "lo"); lo.Driver != "" || !lo.Up {
			t.Errorf("lo = %+v, want up and without a driver", lo)
		}
		if _, err := netlnk.LinkByName("nosuch"); !errors.Is(err, netlnk.ErrNoDevice) {
			t.Errorf("LinkByName(nosuch) = %v, want ErrNoDevice", err)
		}
		all, err := netlnk.Links()
		if err != nil || len(all) != 2 {
			t.Errorf("Links() = %v, %v, want lo and ens160", all, err)
		}
		far.IP("link", "set", "ens160", "down")
		nstest.WaitFor(t, "no carrier", func() bool { return !link(t, "ens160").Up })
	})
}

func TestSetUp(t *testing.T) {
	n := nstest.New(t, "up")
	n.IP("link", "set", "lo", "down")
	n.Do(func() {
		if link(t, "lo").Up {
			t.Fatal("lo is up before SetUp")
		}
		if err := netlnk.SetUp("lo"); err != nil || !link(t, "lo").Up {
			t.Errorf("SetUp(lo) = %v, up %v, want it up", err, link(t, "lo").Up)
		}
	})
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		name string
		do   func(dev string, p netip.Prefix) (bool, error)
		p    string
		want bool
	}{
		{"add", netlnk.AddAddress, "192.168.25.100/32", true},
		{"add what is there", netlnk.AddAddress, "192.168.25.100/32", false},
		{"same address, other length", netlnk.AddAddress, "192.168.25.100/24", true},
		{"remove", netlnk.DelAddress, "192.168.25.100/32", true},
		{"remove what is not there", netlnk.DelAddress, "192.168.25.100/32", false},
		{"add IPv6", netlnk.AddAddress, "fd25::100/128", true},
		{"add IPv6 that is there", netlnk.AddAddress, "fd25::100/128", false},
		{"remove IPv6", netlnk.DelAddress, "fd25::100/128", true},
		{"remove IPv6 that is not there", netlnk.DelAddress, "fd25::100/128", false},
	}
	near, _ := pair(t)
	near.Do(func() {
		for _, tt := range tests {
			added := strings.HasPrefix(tt.name, "add") || strings.HasPrefix(tt.name, "same")
			changed, err := tt.do("ens160", prefix(tt.p))
			if err != nil || changed != tt.want {
				t.Errorf("%s %s: changed %v, %v, want %v", tt.name, tt.p, changed, err, tt.want)
			}
			if has := strings.Contains(near.IP("address", "show", "dev", "ens160"), " "+tt.p+" "); has != added {
				t.Errorf("%s %s: ip address shows it: %v, want %v", tt.name, tt.p, has, added)
			}
			if has, err := netlnk.HasAddress("ens160", prefix(tt.p)); has != added || err != nil {
				t.Errorf("%s: HasAddress(%s) = %v, %v, want %v", tt.name, tt.p, has, err, added)
			}
		}
		got, err := netlnk.Addresses("ens160")
		for _, p := range []string{"192.168.25.31/24", "192.168.25.100/24", "fd25::31/64"} {
			if err != nil || !slices.Contains(got, prefix(p)) {
				t.Errorf("Addresses = %v, %v, want %s among them", got, err, p)
			}
		}
		if l, err := netlnk.LinkByName("ens160"); err != nil {
			t.Error(err)
		} else if again, err := netlnk.AddressesOf(l.Index); err != nil || !slices.Equal(again, got) {
			t.Errorf("AddressesOf(%d) = %v, %v, want %v", l.Index, again, err, got)
		}
		if _, err := netlnk.AddAddress("nosuch", prefix("10.0.0.1/32")); !errors.Is(err, netlnk.ErrNoDevice) {
			t.Errorf("AddAddress(nosuch) = %v, want ErrNoDevice", err)
		}
	})
}

// An IPv6 address is usable at once, without duplicate address detection.
func TestAddAddressIPv6IsNotTentative(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if _, err := netlnk.AddAddress("ens160", prefix("fd25::100/128")); err != nil {
			t.Fatal(err)
		}
	})
	out := near.IP("-6", "address", "show", "dev", "ens160", "to", "fd25::100/128")
	if strings.Contains(out, "tentative") || !strings.Contains(out, "nodad") {
		t.Errorf("fd25::100 is tentative or without nodad:\n%s", out)
	}
}

func TestLocalAddr(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if _, err := netlnk.AddAddress("lo", prefix("192.168.25.100/32")); err != nil {
			t.Fatal(err)
		}
		for a, want := range map[string]bool{
			"192.168.25.31": true, "192.168.25.100": true, "127.0.0.1": true, "::1": true, "fd25::31": true,
			"192.168.25.32": false, "fd25::32": false, "fd25::31%ens160": true, "fd25::31%lo": false,
		} {
			if got, err := netlnk.LocalAddr(addr(a)); got != want || err != nil {
				t.Errorf("LocalAddr(%s) = %v, %v, want %v", a, got, err, want)
			}
		}
		if _, err := netlnk.AddAddress("ens160", prefix("192.168.25.100/24")); err != nil {
			t.Fatal(err)
		}
		got, err := netlnk.Holders(addr("192.168.25.100"))
		want := []netlnk.Holder{{"lo", prefix("192.168.25.100/32")}, {"ens160", prefix("192.168.25.100/24")}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Holders = %v, %v, want %v", got, err, want)
		}
	})
}

func TestSysctl(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if err := netlnk.SetSysctl("ens160", "arp_ignore", "2"); err != nil {
			t.Fatal(err)
		}
		if got, err := netlnk.Sysctl("ens160", "arp_ignore"); got != "2" || err != nil {
			t.Errorf("arp_ignore = %q, %v, want 2", got, err)
		}
		for name, err := range map[string]error{
			"no such device": errOf(netlnk.Sysctl("nosuch", "arp_ignore")),
			"arp_ignoer":     errOf(netlnk.Sysctl("lo", "arp_ignoer")),
			"is not a name":  netlnk.SetSysctl("../all", "arp_ignore", "1"),
			`to "many"`:      netlnk.SetSysctl("lo", "arp_ignore", "many"),
		} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want one that says %q", err, name)
			}
		}
	})
	// Namespaces have their own values.
	nstest.New(t, "other").Do(func() {
		if got, err := netlnk.Sysctl("lo", "arp_ignore"); got != "0" || err != nil {
			t.Errorf("another namespace's arp_ignore = %q, %v, want 0", got, err)
		}
	})
}

func errOf(_ string, err error) error { return err }
