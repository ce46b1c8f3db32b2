package netlnk_test

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

func resolve(t *testing.T, dst netip.Addr) netlnk.NextHop {
	t.Helper()
	hop, err := netlnk.Resolve(dst)
	if err != nil {
		t.Fatal(err)
	}
	return hop
}

func TestResolve(t *testing.T) {
	near, far := pair(t)
	near.IP("route", "add", "10.0.0.0/8", "via", "192.168.25.32")
	near.IP("route", "add", "10.6.0.0/16", "via", "inet6", "fd25::32", "dev", "ens160")
	near.IP("route", "add", "fd10::/16", "via", "fd25::32")
	near.IP("route", "add", "unreachable", "172.16.0.0/12")
	var farMAC string
	far.Do(func() { farMAC = link(t, "ens160").MAC.String() })
	tests := []struct{ name, dst, gateway string }{
		{"on the link", "192.168.25.32", ""},
		{"through a router", "10.1.2.3", "192.168.25.32"},
		{"IPv4 through an IPv6 router", "10.6.2.3", "fd25::32"},
		{"IPv6 on the link", "fd25::32", ""},
		{"IPv6 through a router", "fd10::1", "fd25::32"},
	}
	near.Do(func() {
		ens := link(t, "ens160")
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				near.Do(func() { // a subtest has a thread of its own
					near.IP("neighbour", "flush", "dev", "ens160")
					hop := resolve(t, addr(tt.dst))
					if hop.Valid || hop.Dst != nil || hop.Local {
						t.Errorf("before Refresh: %+v, want not valid", hop)
					}
					if err := netlnk.Refresh(addr(tt.dst)); err != nil {
						t.Fatal(err)
					}
					nstest.WaitFor(t, "the neighbour's answer", func() bool { hop = resolve(t, addr(tt.dst)); return hop.Valid })
					if hop.Index != ens.Index || hop.Src.String() != ens.MAC.String() || hop.Dst.String() != farMAC {
						t.Errorf("Resolve(%s) = %+v, want device %d, %s to %s", tt.dst, hop, ens.Index, ens.MAC, farMAC)
					}
					if tt.gateway == "" && hop.Gateway.IsValid() || tt.gateway != "" && hop.Gateway != addr(tt.gateway) {
						t.Errorf("gateway %v, want %q", hop.Gateway, tt.gateway)
					}
				})
			})
		}
		for _, own := range []string{"192.168.25.31", "127.0.0.1", "fd25::31", "::1"} {
			if hop := resolve(t, addr(own)); !hop.Local || hop.Valid {
				t.Errorf("Resolve(%s) = %+v, want local", own, hop)
			}
			if err := netlnk.Refresh(addr(own)); err != nil {
				t.Errorf("Refresh(%s) = %v, want nothing to do", own, err)
			}
		}
		for _, none := range []string{"203.0.113.1", "172.16.0.1", "192.168.25.255", "224.0.0.18"} {
			if hop, err := netlnk.Resolve(addr(none)); err == nil || !strings.Contains(err.Error(), none) {
				t.Errorf("Resolve(%s) = %+v, %v, want an error that names it", none, hop, err)
			}
		}
	})
}

// A machine that does not answer never becomes valid, and asking for it leaves no entry
// behind.
func TestRefreshOfASilentMachine(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		if err := netlnk.SetSysctl("lo", "arp_ignore", "0"); err != nil {
			t.Fatal(err)
		}
		if err := netlnk.Refresh(addr("192.168.25.77")); err != nil {
			t.Fatal(err)
		}
		nstest.WaitFor(t, "the kernel gives up", func() bool {
			return strings.Contains(near.IP("neighbour", "show", "192.168.25.77"), "FAILED")
		})
		if hop := resolve(t, addr("192.168.25.77")); hop.Valid || !hop.Unreachable {
			t.Errorf("%+v, want not valid, and unreachable", hop)
		}
		if out := near.IP("neighbour", "show", "nud", "permanent"); strings.Contains(out, ".77") {
			t.Errorf("a permanent entry was left: %s", out)
		}
	})
}

func TestRefreshConfirmsAStaleEntry(t *testing.T) {
	near, far := pair(t)
	var farMAC string
	far.Do(func() { farMAC = link(t, "ens160").MAC.String() })
	near.IP("neighbour", "replace", "192.168.25.32", "lladdr", farMAC, "dev", "ens160", "nud", "stale")
	near.Do(func() {
		if !resolve(t, addr("192.168.25.32")).Valid {
			t.Error("a stale entry is not valid, want valid: the kernel would use it")
		}
		if err := netlnk.Refresh(addr("192.168.25.32")); err != nil {
			t.Fatal(err)
		}
	})
	if out := near.IP("neighbour", "show", "192.168.25.32"); strings.Contains(out, "STALE") {
		t.Errorf("still stale after Refresh: %s", out)
	}
}

func TestRefreshLeavesAPermanentEntry(t *testing.T) {
	near, _ := pair(t)
	near.IP("neighbour", "add", "192.168.25.32", "lladdr", "02:00:00:00:00:01", "dev", "ens160", "nud", "permanent")
	near.Do(func() {
		if err := netlnk.Refresh(addr("192.168.25.32")); err != nil {
			t.Fatal(err)
		}
		hop := resolve(t, addr("192.168.25.32"))
		if out := near.IP("neighbour", "show", "192.168.25.32"); !strings.Contains(out, "PERMANENT") {
			t.Errorf("the entry is no longer permanent: %s", out)
		}
		if !hop.Valid || hop.Dst.String() != "02:00:00:00:00:01" {
			t.Errorf("Resolve = %+v, want the permanent entry's MAC", hop)
		}
	})
}

// A Resolver returns the same as the function Resolve, for every kind of route, and so does Device.
func TestResolverAgrees(t *testing.T) {
	a, b := nstest.New(t, "ra"), nstest.New(t, "rb")
	nstest.Veth(a, "eth0", b, "eth0")
	a.Batch("addr add 192.0.2.1/24 dev eth0", "addr add 2001:db8::1/64 dev eth0 nodad",
		"neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
		"route add 198.51.100.0/24 via 192.0.2.9", "route add 203.0.113.0/24 via 192.0.2.9 mtu 1400",
		"route add unreachable 10.9.0.0/16", "route add prohibit 10.10.0.0/16", "route add blackhole 10.11.0.0/16",
		"route add unreachable fd09::/16", "route add prohibit fd10::/16", "route add blackhole fd11::/16", "route add 10.8.0.0/16 via inet6 2001:db8::9 dev eth0")
	a.Do(func() {
		r, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, addr := range []string{
			"192.0.2.1", "192.0.2.9", "192.0.2.77", "198.51.100.5", "203.0.113.5", "10.9.0.1", "10.10.0.1", "10.11.0.1", "10.8.0.1",
			"10.1.1.1", "fd09::1", "fd10::1", "fd11::1", "fd12::1", "2001:db8::1", "2001:db8::7", "127.0.0.1", "::ffff:198.51.100.6",
		} {
			dst := netip.MustParseAddr(addr)
			got, gotErr := r.Resolve(dst)
			want, wantErr := netlnk.Resolve(dst)
			if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Errorf("%s: %+v, %v\nwant %+v, %v", addr, got, gotErr, want, wantErr)
			}
			if got.Unreachable != (gotErr != nil) {
				t.Errorf("%s: %+v, %v", addr, got, gotErr)
			}
			wanted := want.Index
			if want.Local || wantErr != nil {
				wanted = 0
			}
			if index, err := r.Device(dst); index != wanted || (err != nil) != (wantErr != nil) {
				t.Errorf("%s: device %d, %v, want %d, %v", addr, index, err, wanted, wantErr)
			}
		}
	})
}

// Of many addresses a Resolver asks once for each route, and returns the same as if it had
// asked for each: whatever else a longer route, a rule, an exception or a route of several next
// hops says of some of them.
func TestResolverOfManyAddresses(t *testing.T) {
	a, b := nstest.New(t, "ra"), nstest.New(t, "rb")
	nstest.Veth(a, "eth0", b, "eth0")
	a.Batch("addr add 192.0.2.1/24 dev eth0", "addr add 192.0.2.100/32 dev eth0",
		"neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 dev eth0 nud permanent",
		"neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
		"route add 172.16.0.0/12 via 192.0.2.9", "route add 172.16.1.0/28 via 192.0.2.8 src 192.0.2.100",
		"route add 172.16.1.64/26 via 192.0.2.9 mtu 1400", "route add throw 172.16.1.200/29", "route add unreachable 172.16.2.0/28",
		"route add default via 192.0.2.8",
		"route add 10.0.0.0/8 nexthop via 192.0.2.8 nexthop via 192.0.2.9", "route add 10.1.0.0/24 via 192.0.2.8", "route add throw 10.2.0.0/24",
		"route add 172.16.3.0/24 via 192.0.2.8 table 100", "rule add to 172.16.3.32/27 lookup 100",
		"rule add to 172.16.4.0/25 prohibit")
	a.Do(func() {
		r, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		singly := 0
		for _, network := range []string{"172.16.0.", "172.16.1.", "172.16.2.", "172.16.3.", "172.16.4.", "172.31.255.", "203.0.113.", "192.0.2.", "10.0.7.", "10.1.0.", "10.2.0.", "224.0.0.", "127.0.0."} {
			for i := range 256 {
				dst := netip.MustParseAddr(fmt.Sprint(network, i))
				if dst.IsMulticast() || strings.HasPrefix(network, "10.") { // inside a route of several next hops
					singly++
				}
				got, gotErr := r.Resolve(dst)
				want, wantErr := netlnk.Resolve(dst)
				if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
					t.Errorf("%s: %+v, %v\nwant %+v, %v", dst, got, gotErr, want, wantErr)
				}
			}
		}
		if asked, most := r.Asked(), singly+100; asked > most {
			t.Errorf("the kernel was asked for %d routes, want at most %d", asked, most)
		}
	})
}

// A path MTU that the kernel has learned counts for its destination alone.
func TestResolverOfManyAddressesKnowsPathMTUs(t *testing.T) {
	client, router, server := nstest.New(t, "rc"), nstest.New(t, "rr"), nstest.New(t, "rs")
	nstest.Veth(client, "eth0", router, "eth0")
	nstest.Veth(router, "eth1", server, "eth0")
	client.Batch("addr add 192.0.2.1/24 dev eth0", "route add 198.51.100.0/24 via 192.0.2.2")
	router.Batch("addr add 192.0.2.2/24 dev eth0", "addr add 198.51.100.1/24 dev eth1", "link set eth1 mtu 1000")
	router.Do(func() {
		if err := netlnk.SetSysctl("all", "forwarding", "1"); err != nil {
			t.Fatal(err)
		}
	})
	client.Do(func() {
		narrow := netip.MustParseAddr("198.51.100.200")
		conn, err := net.Dial("udp", netip.AddrPortFrom(narrow, 9).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		nstest.WaitFor(t, "the kernel learns the path MTU", func() bool {
			_, _ = conn.Write(make([]byte, 1400)) // Linux forbids fragments of UDP by itself; the error is the path MTU
			return resolve(t, narrow).MTU == 1000
		})
		r, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := range 255 {
			dst := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			hop, err := r.Resolve(dst)
			if err != nil {
				t.Fatal(err)
			}
			if want := resolve(t, dst); hop.MTU != want.MTU || hop.MTU == 1000 != (dst == narrow) {
				t.Errorf("%s: a path MTU of %d, the kernel says %d", dst, hop.MTU, want.MTU)
			}
		}
		if asked := r.Asked(); asked > 100 {
			t.Errorf("the kernel was asked for %d routes", asked)
		}
	})
}
