package netlnk_test

import (
	"strings"
	"testing"

	"weir/internal/netlnk"
)

// Routes and rules are those that keepalived makes of the same words, and go again.
func TestEntries(t *testing.T) {
	near, _ := pair(t)
	near.IP("address", "add", "fd25::102/64", "dev", "ens160", "nodad")
	for _, tt := range []struct {
		rule        bool
		words, want string
		show        string // what ip is asked
	}{
		{false, "10.10.0.0/16 via 192.168.25.254 dev ens160", "10.10.0.0/16 via 192.168.25.254 dev ens160 proto keepalived", "route show"},
		{false, "10.12.0.0/16 dev ens160 scope link", "10.12.0.0/16 dev ens160 proto keepalived scope link", "route show"},
		{false, "src 192.168.25.31 to 10.13.0.0/16 via 192.168.25.254 metric 5", "10.13.0.0/16 via 192.168.25.254 dev ens160 proto keepalived src 192.168.25.31 metric 5", "route show"},
		{false, "10.14.0.0/16 gw 192.168.25.254 table 1000", "10.14.0.0/16 via 192.168.25.254 dev ens160 proto keepalived", "route show table 1000"},
		{false, "blackhole 10.15.0.0/16", "blackhole 10.15.0.0/16 proto keepalived", "route show"},
		{false, "default via 192.168.25.253 table 102", "default via 192.168.25.253 dev ens160 proto keepalived", "route show table 102"},
		{false, "10.19.0.0/16 via 192.168.25.254 mtu lock 1400 rtt 2400 rttvar 100ms rto_min 30 features ecn congctl reno tos 0x10",
			"10.19.0.0/16 tos 0x10 via 192.168.25.254 dev ens160 proto keepalived mtu lock 1400 rtt 300ms rttvar 200ms features ecn rto_min 200ms congctl reno", "route show"},
		{false, "10.18.0.0/16 nexthop via 192.168.25.254 dev ens160 weight 3 nexthop via 192.168.25.253 weight 1",
			"10.18.0.0/16 proto keepalived \n\tnexthop via 192.168.25.254 dev ens160 weight 3 \n\tnexthop via 192.168.25.253 dev ens160 weight 1", "route show"},
		{false, "10.20.0.0/16 via inet6 fd25::1 dev ens160", "10.20.0.0/16 via inet6 fd25::1 dev ens160 proto keepalived", "route show"},
		{false, "2001:db8:1::/48 via fd25::1 dev ens160 pref high", "2001:db8:1::/48 via fd25::1 dev ens160 proto keepalived metric 1024 pref high", "-6 route show"},
		{false, "default6 via fd25::1 dev ens160", "default via fd25::1 dev ens160 proto keepalived metric 1024 pref medium", "-6 route show"},
		{true, "from 192.0.2.0/24 to 10.0.0.0/8 table 1000 priority 100", "100:\tfrom 192.0.2.0/24 to 10.0.0.0/8 lookup 1000 proto keepalived", "rule"},
		{true, "fwmark 7/0xff iif ens160 oif lo tos 0x10 table 100 priority 101", "101:\tfrom all tos 0x10 fwmark 0x7/0xff iif ens160 oif lo lookup 100 proto keepalived", "rule"},
		{true, "not from 192.0.2.9 unreachable priority 102", "102:\tnot from 192.0.2.9 unreachable proto keepalived", "rule"},
		{true, "from 192.0.2.9 goto 200 priority 103", "103:\tfrom 192.0.2.9 goto 200 [unresolved] proto keepalived", "rule"},
		{true, "ipproto tcp sport 80 dport 1000-2000 uidrange 1-5 lookup main priority 104", "104:\tfrom all uidrange 1-5 ipproto tcp sport 80 dport 1000-2000 lookup main proto keepalived", "rule"},
		{true, "from 192.0.2.8 table 100 sup_pl 0 sup_group 3 realms 3/4 tunnel-id 9 priority 105", "105:\tfrom 192.0.2.8 tun_id 9 lookup 100 suppress_prefixlength 0 suppress_ifgroup 3 realms 3/4 proto keepalived", "rule"},
		{true, "from 2001:db8::/32 table 100", "16384:\tfrom 2001:db8::/32 lookup 100 proto keepalived", "-6 rule"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			e := netlnk.Entry{Rule: tt.rule, Words: tt.words}
			shows := func() bool {
				return strings.Contains(near.IP(strings.Fields(tt.show)...), tt.want)
			}
			near.Do(func() {
				for _, want := range []bool{true, false} {
					if changed, err := netlnk.AddEntry(e); err != nil || changed != want {
						t.Errorf("added %v, %v, want %v", changed, err, want)
					}
				}
			})
			if !shows() {
				t.Errorf("want %q in\n%s", tt.want, near.IP(strings.Fields(tt.show)...))
			}
			near.Do(func() {
				for _, want := range []bool{true, false} {
					if changed, err := netlnk.RemoveEntry(e); err != nil || changed != want {
						t.Errorf("removed %v, %v, want %v", changed, err, want)
					}
				}
			})
			if shows() {
				t.Errorf("it is there still:\n%s", near.IP(strings.Fields(tt.show)...))
			}
		})
	}
	near.Do(func() {
		if _, err := netlnk.AddEntry(netlnk.Entry{Words: "10.0.0.0/8 dev nosuch"}); err == nil {
			t.Error("a device that does not exist is taken")
		}
		if _, err := netlnk.AddEntry(netlnk.Entry{Words: "10.0.0.0/8 wia 10.0.0.1"}); err == nil {
			t.Error("an unknown word is taken")
		}
	})
}
