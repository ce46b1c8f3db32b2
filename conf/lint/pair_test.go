package lint

import (
	"strings"
	"testing"

	"weir/conf"
)

// instance is the beginning of one, and service a virtual_server.
const (
	instance = "vrrp_instance V {\ninterface e0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.1\n}\n"
	service  = "virtual_server 10.0.0.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 10.0.0.2 80 {\n}\n}\n"
)

// TestPairs changes the standby's file of two that agree.
func TestPairs(t *testing.T) {
	master := instance + "state MASTER\npriority 100\nunicast_src_ip 10.0.0.11\nunicast_peer {\n10.0.0.12\n}\n}\n" + service
	backup := instance + "priority 90\nunicast_src_ip 10.0.0.12\nunicast_peer {\n10.0.0.11\n}\n}\n" + service
	tests := []struct{ old, new, want string }{
		{"", "", ""},
		{"priority 90", "priority 100", "pair-priority"},
		{"priority 90", "priority 90\nstate MASTER", "pair-priority"},
		{"priority 90", "priority 90\nadvert_int 2", "pair-advert"},
		{"priority 90", "priority 90\nauthentication {\nauth_type PASS\nauth_pass x\n}", "pair-advert"},
		{"10.0.0.1\n", "10.0.0.1\n10.0.0.2\n", "pair-vips"},
		{"10.0.0.11\n}", "10.0.0.13\n}", "pair-unicast"},
		{"src_ip 10.0.0.12", "src_ip 10.0.0.14", "pair-unicast"},
		{"unicast_peer {\n10.0.0.11\n}\n", "", "pair-unicast"},
		{"lb_algo rr", "lb_algo wrr", "pair-services"},
		{"protocol TCP", "protocol TCP\npersistence_timeout 9", "pair-services"},
		{"real_server 10.0.0.2 80 {\n", "real_server 10.0.0.2 80 {\nweight 4\n", "pair-services"},
		{"virtual_server 10.0.0.1 80", "virtual_server 10.0.0.1 81", "pair-services pair-services"},
		{"virtual_router_id 7", "virtual_router_id 8", ""},
	}
	a, _ := conf.Parse("a.conf", []byte(master))
	for _, tt := range tests {
		b, diags := conf.Parse("b.conf", []byte(strings.Replace(backup, tt.old, tt.new, 1)))
		if b == nil {
			t.Fatalf("%q: %v", tt.new, diags.All())
		}
		var got []string
		for _, d := range Compare(a, b).All() {
			got = append(got, d.Code)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q for %q: got %v, want %s", tt.new, tt.old, got, tt.want)
		}
		if diags := Compare(a, b, strings.Fields(tt.want)...); len(diags.All()) > 0 {
			t.Errorf("%s is not silenced", tt.want)
		}
	}
}
