package netlnk_test

import (
	"strings"
	"testing"

	"weir/internal/netlnk"
)

// Where an IPsec policy is for what goes to a server, the data plane's packets would leave
// unprotected: the next hop is refused in words. A policy that is for something else, or that
// lets packets pass as they are, refuses nothing.
func TestIPsecPolicies(t *testing.T) {
	near, _ := pair(t)
	near.Batch("neigh add 192.168.25.9 lladdr 02:00:00:00:00:09 dev ens160 nud permanent",
		"neigh add fd25::9 lladdr 02:00:00:00:00:09 dev ens160 nud permanent",
		"route add 10.3.0.0/24 via 192.168.25.9", "route add fd30::/64 via fd25::9")
	const protect = "dir out tmpl src 192.168.25.31 dst 192.168.25.9 proto esp mode tunnel"
	for _, tt := range []struct {
		name     string
		policies []string
		to       string
		refused  string
	}{
		{"none", nil, "10.3.0.32", ""},
		{"for the server's network", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 " + protect}, "10.3.0.32", "to 10.3.0.0/24"},
		{"for the server's network in IPv6", []string{"src ::/0 dst fd30::/64 dir out tmpl src fd25::31 dst fd25::9 proto esp mode tunnel"}, "fd30::32", "to fd30::/64"},
		{"for the machine's own address", []string{"src 192.168.25.31/32 dst 10.3.0.0/24 " + protect}, "10.3.0.32", "for 192.168.25.31/32"},
		{"that blocks", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 dir out action block"}, "10.3.0.32", "ip xfrm policy"},
		{"for another server", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 " + protect}, "192.168.25.9", ""},
		{"for another source", []string{"src 10.7.0.0/24 dst 10.3.0.0/24 " + protect}, "10.3.0.32", ""},
		{"for one port", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 proto udp dport 1701 " + protect}, "10.3.0.32", ""},
		{"for pings", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 proto icmp " + protect}, "10.3.0.32", ""},
		{"for a mark", []string{"src 0.0.0.0/0 dst 0.0.0.0/0 mark 7 " + protect}, "10.3.0.32", ""},
		{"of an xfrm device", []string{"src 0.0.0.0/0 dst 0.0.0.0/0 if_id 7 " + protect}, "10.3.0.32", ""},
		{"for what comes in", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 dir in tmpl proto esp mode tunnel"}, "10.3.0.32", ""},
		{"if it can be", []string{"src 0.0.0.0/0 dst 10.3.0.0/24 dir out tmpl proto esp mode transport level use"}, "10.3.0.32", ""},
		{"with an exception", []string{
			"src 0.0.0.0/0 dst 0.0.0.0/0 priority 20 " + protect, "src 0.0.0.0/0 dst 10.3.0.0/24 dir out priority 10",
		}, "10.3.0.32", ""},
	} {
		near.IP("xfrm", "policy", "flush")
		for _, p := range tt.policies {
			near.IP(strings.Fields("xfrm policy add " + p)...)
		}
		near.Do(func() {
			r, err := netlnk.NewResolver()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			hop, err := r.Resolve(addr(tt.to))
			if err != nil || hop.Valid != (tt.refused == "") || (hop.Refused == "") != (tt.refused == "") || !strings.Contains(hop.Refused, tt.refused) {
				t.Errorf("a policy %s: %+v, %v, want refused: %q", tt.name, hop, err, tt.refused)
			}
		})
	}
	near.IP("xfrm", "policy", "flush")
	near.IP(strings.Fields("xfrm policy add src 0.0.0.0/0 dst 10.3.0.0/24 " + protect)...)
	near.Do(func() {
		if err := netlnk.SetSysctl("ens160", "disable_xfrm", "1"); err != nil {
			t.Fatal(err)
		}
		r, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if hop, err := r.Resolve(addr("10.3.0.32")); err != nil || !hop.Valid {
			t.Errorf("a device that knows no policies: %+v, %v, want valid", hop, err)
		}
	})
}

// A route that puts packets into others leads elsewhere than its device does.
func TestRoutesWithEncapsulation(t *testing.T) {
	near, _ := pair(t)
	near.Batch("neigh add fd25::9 lladdr 02:00:00:00:00:09 dev ens160 nud permanent",
		"route add fd40::/64 encap seg6 mode encap segs fd25::7 via fd25::9 dev ens160", "route add fd41::/64 via fd25::9",
		"route add 10.5.0.0/24 encap ip id 5 dst 192.168.25.9 dev ens160")
	near.Do(func() {
		r, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for to, refused := range map[string]bool{"fd40::1": true, "fd41::1": false, "10.5.0.1": true} {
			hop, err := r.Resolve(addr(to))
			if err != nil || hop.Valid == refused || strings.Contains(hop.Refused, "encapsulation") != refused {
				t.Errorf("%s: %+v, %v, want refused: %t", to, hop, err, refused)
			}
		}
	})
}
