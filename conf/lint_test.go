package conf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// remarkTexts give one remark each.
var remarkTexts = map[string]string{
	"dr-port":               "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 8080 {\n}\n}\n",
	"flag-scheduler":        service("10.0.0.1 80", "protocol TCP\nsh-port"),
	"given-twice":           bareInstance + "priority 3\npriority 4\n}\n",
	"garp-group-empty":      "garp_group {\ninterface e0\n}\n",
	"hysteresis":            service("10.0.0.1 80", "protocol TCP\nhysteresis 1"),
	"include-missing":       "include gone.conf\n",
	"listed-twice":          bareInstance + "notify /bin/a\nnotify /bin/b\n}\n",
	"sync-group-single":     bareInstance + "}\nvrrp_sync_group G {\ngroup {\nV\n}\n}\n",
	"vmac-unicast":          bareInstance + "use_vmac\nunicast_peer {\n10.0.0.3\n}\n}\n",
	"method-default":        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"no-effect":             service("10.0.0.1 80", "protocol TCP\nops"),
	"no-meaning":            "global_defs {\nprocess_names\n}\n",
	"no-real-server":        bareService + "}\n",
	"no-vip":                "vrrp_instance V {\ninterface e0\nvirtual_router_id 7\n}\n",
	"not-ready":             bareInstance + "version 3\n}\n",
	"not-yet":               bareInstance + "smtp_alert\n}\n",
	"obsolete":              bareInstance + "vmac_garp_intvl 3\n}\n",
	"password-cut":          bareInstance + "authentication {\nauth_type PASS\nauth_pass 123456789\n}\n}\n",
	"port-zero":             service("10.0.0.1", "protocol TCP"),
	"preempt":               bareInstance + "state MASTER\nnopreempt\n}\n",
	"protocol-default":      service("10.0.0.1 80", ""),
	"quorum-hysteresis":     strings.Replace(service("10.0.0.1 80", "protocol TCP\nquorum 2\nweight 2"), "80 {\n}", "80 {\nweight 2\n}", 1),
	"quorum-weight":         service("10.0.0.1 80", "protocol TCP\nquorum 2\nhysteresis 0"),
	"raised":                "global_defs {\nvrrp_garp_master_repeat 0\n}\n",
	"route-untracked":       "static_routes {\n10.0.0.0/8 via 10.1.1.1\n}\n",
	"rule-priority":         "static_rules {\nfrom 10.0.0.0/8 table 3\n}\n",
	"scheduler-default":     "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_kind NAT\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"service-without-vip":   bareInstance + "}\n" + service("10.0.0.9 80", "protocol TCP"),
	"threshold":             strings.Replace(service("10.0.0.1 80", "protocol TCP"), "80 {\n}", "80 {\nuthreshold 2\nlthreshold 3\n}", 1),
	"unicast-without-peers": bareInstance + "unicast_peer {\n}\n}\n",
	"vip-twice":             bareInstance + "}\n" + strings.Replace(strings.Replace(bareInstance, "instance V", "instance W", 1), "id 7", "id 8", 1) + "}\n",
	"vip-network":           bareInstance + "}\n",
}

// TestRemarks gives each remark, and then silences it, by option and in the file.
func TestRemarks(t *testing.T) {
	options := Options{Networks: map[string][]netip.Prefix{"e0": {netip.MustParsePrefix("192.0.2.0/24")}}}
	codes := func(o Options, text string) (list []string) {
		_, diags := newParser(memory{}, o).parse("test.conf", []byte(text))
		for _, d := range diags.All() {
			list = append(list, d.Code)
		}
		return list
	}
	for _, r := range remarks {
		if strings.HasPrefix(r.code, "pair-") {
			continue // see TestPairs
		}
		text, ok := remarkTexts[r.code]
		if !ok {
			t.Errorf("no text gives %s", r.code)
			continue
		}
		o := options
		if r.code != "vip-network" {
			o.Networks = nil
		}
		if got := codes(o, text); !slices.Contains(got, r.code) || slices.Contains(got, "") {
			t.Errorf("%s: got %v of\n%s", r.code, got, text)
		}
		silent := o
		silent.Silence = []string{r.code}
		never := r.code == "not-ready"
		if got := codes(silent, text); slices.Contains(got, r.code) != never {
			t.Errorf("%s is not silenced by an option: %v", r.code, got)
		}
		if got := codes(o, text+"weir {\nsilence "+r.code+"\n}\n"); slices.Contains(got, r.code) != never {
			t.Errorf("%s is not silenced in the file: %v", r.code, got)
		}
	}
	if !slices.IsSortedFunc(remarks, func(a, b remark) int { return strings.Compare(a.code, b.code) }) {
		t.Error("the remarks are not sorted")
	}
}

// TestPairs changes the standby's file of two that agree.
func TestPairs(t *testing.T) {
	master := bareInstance + "state MASTER\npriority 100\nunicast_src_ip 10.0.0.11\nunicast_peer {\n10.0.0.12\n}\n}\n" + service("10.0.0.1 80", "protocol TCP")
	backup := bareInstance + "priority 90\nunicast_src_ip 10.0.0.12\nunicast_peer {\n10.0.0.11\n}\n}\n" + service("10.0.0.1 80", "protocol TCP")
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
	a, _ := Parse("a.conf", []byte(master))
	for _, tt := range tests {
		b, diags := Parse("b.conf", []byte(strings.Replace(backup, tt.old, tt.new, 1)))
		if b == nil {
			t.Fatalf("%q: %v", tt.new, diags.All())
		}
		var got []string
		for _, d := range (Options{}).Compare(a, b).All() {
			got = append(got, d.Code)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q for %q: got %v, want %s", tt.new, tt.old, got, tt.want)
		}
		if diags := (Options{Silence: strings.Fields(tt.want)}).Compare(a, b); len(diags.All()) > 0 {
			t.Errorf("%s is not silenced", tt.want)
		}
	}
}
