package conf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// remarkTexts give one remark each.
var remarkTexts = map[string]string{
	"comment-in-word":       bareInstance + "notify_master /bin/a#b\n}\n",
	"undefined-name":        bareInstance + "authentication {\nauth_type PASS\nauth_pass $X\n}\n}\n",
	"value-ignored":         bareInstance + "nopreempt 1\n}\n",
	"strict":                bareInstance + "strict_mode\npreempt_delay 3\n}\n",
	"track-own-interface":   bareInstance + "track_interface {\ne0\n}\n}\n",
	"weight-ignored":        bareInstance + "priority 255\ntrack_interface {\ne1 weight 3\n}\n}\n",
	"dr-port":               "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind DR\nreal_server 10.0.0.2 8080 {\n}\n}\n",
	"flag-scheduler":        service("10.0.0.1 80", "protocol TCP\nsh-port"),
	"given-twice":           bareInstance + "priority 3\npriority 4\n}\n",
	"garp-group-empty":      "garp_group {\ninterface e0\n}\n",
	"hysteresis":            service("10.0.0.1 80", "protocol TCP\nhysteresis 1"),
	"include-missing":       "include gone.conf\n",
	"ipvlan-modes":          bareInstance + "use_ipvlan 10.0.0.3 private\n}\n" + strings.Replace(strings.Replace(bareInstance, "instance V", "instance W", 1), "id 7", "id 8", 1) + "use_ipvlan 10.0.0.4\n}\n",
	"listed-twice":          bareInstance + "notify /bin/a\nnotify /bin/b\n}\n",
	"sync-group-single":     bareInstance + "}\nvrrp_sync_group G {\ngroup {\nV\n}\n}\n",
	"vmac-unicast":          bareInstance + "use_vmac\nunicast_peer {\n10.0.0.3\n}\n}\n",
	"long-line":             "global_defs {\nrouter_id " + strings.Repeat("x", 1100) + "\n}\n",
	"name-joined":           "$A=a\n$B=$A\nglobal_defs {\nrouter_id ${B}.1\n}\n",
	"keepalived-refuses":    "static_rules {\nsport 80 table 3 priority 4\n}\n",
	"method-default":        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"no-effect":             service("10.0.0.1 80", "protocol TCP\nops"),
	"no-meaning":            "global_defs {\nprocess_names\n}\n",
	"no-real-server":        bareService + "}\n",
	"no-vip":                "vrrp_instance V {\ninterface e0\nvirtual_router_id 7\n}\n",
	"not-ready":             "net_namespace_ipvs lb\n",
	"not-yet":               "global_defs {\nenable_traps\n}\n",
	"obsolete":              bareInstance + "vmac_garp_intvl 3\n}\n",
	"password-cut":          bareInstance + "authentication {\nauth_type PASS\nauth_pass 123456789\n}\n}\n",
	"port-zero":             service("10.0.0.1", "protocol TCP"),
	"preempt":               bareInstance + "state MASTER\nnopreempt\n}\n",
	"protocol-default":      service("10.0.0.1 80", ""),
	"quorum-hysteresis":     strings.Replace(service("10.0.0.1 80", "protocol TCP\nquorum 2\nweight 2"), "80 {\n}", "80 {\nweight 2\n}", 1),
	"quorum-weight":         service("10.0.0.1 80", "protocol TCP\nquorum 2\nhysteresis 0"),
	"not-here":              bareInstance + "}\n",
	"quotes":                "global_defs {\nrouter_id 'a'\n}\n",
	"raised":                "global_defs {\nvrrp_garp_master_repeat 0\n}\n",
	"rounded":               bareInstance + "version 3\nadvert_int 0.015\n}\n",
	"route-untracked":       "static_routes {\n10.0.0.0/8 via 10.1.1.1\n}\n",
	"rule-priority":         "static_rules {\nfrom 10.0.0.0/8 table 3\n}\n",
	"scheduler-default":     "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_kind NAT\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"service-without-vip":   bareInstance + "}\n" + service("10.0.0.9 80", "protocol TCP"),
	"unicast-without-peers": bareInstance + "unicast_peer {\n}\n}\n",
	"vip-twice":             bareInstance + "}\n" + strings.Replace(strings.Replace(bareInstance, "instance V", "instance W", 1), "id 7", "id 8", 1) + "}\n",
	"vip-network":           bareInstance + "}\n",
}

// TestRemarks gives each remark, and then silences it, by option and in the file.
func TestRemarks(t *testing.T) {
	no := func(string) bool { return false }
	options := Options{Linter: TestLinter, Networks: map[string][]netip.Prefix{"e0": {netip.MustParsePrefix("192.0.2.0/24")}}}
	codes := func(o Options, text string) (list []string) {
		_, diags := newParser(memory{}, o).parse("test.conf", text)
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
		if r.code == codeNotHere {
			o.Here = &Here{no, no, no}
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
