package conftest

import (
	"strings"
)

// reloadFile has every block, and a place for a statement in each.
const reloadFile = `global_defs {
<global_defs>}
track_file F {
<track_file>}
track_file F2 {
file /none/F2
}
bfd_instance B {
<bfd_instance>}
bfd_instance B2 {
neighbor_ip 10.1.9.4
}
vrrp_instance V {
interface eth0
virtual_router_id 1
version 2
garp_master_delay 5
garp_master_repeat 5
garp_lower_prio_delay 5
garp_lower_prio_repeat 5
garp_master_refresh 60
garp_master_refresh_repeat 1
garp_extra_if 0
lower_prio_no_advert off
higher_prio_send_advert off
skip_check_adv_addr off
mcast_dst_ip 224.0.0.18
down_timer_adverts 3
<vrrp_instance><authentication><auth_hmac>}
<trackers>virtual_server group G {
protocol TCP
real_server 10.0.0.2 80 {
}
}
virtual_server fwmark 7 {
lb_kind TUN
<ip_family>real_server 10.0.0.2 80 {
}
}
virtual_server 10.0.0.1 80 {
protocol TCP
<virtual_server>real_server 10.0.0.2 80 {
lvs_method NAT
<real_server>TCP_CHECK {
<TCP_CHECK>}
}
}
<><SSL>weir {
<weir>device e0 {
<device>}
tables {
<tables>}
timeouts {
<timeouts>}
<service><vrrp>}
`

// ReloadText is a file with a statement in one of its blocks.
func ReloadText(block, keyword, statement string) string {
	if block == "url" {
		text := ReloadText("TCP_CHECK", keyword, "url {\n<path>"+statement+"}\n")
		path := "path /\n"
		if keyword == "path" {
			path = ""
		}
		return strings.Replace(strings.Replace(text, "TCP_CHECK {", "HTTP_GET {", 1), "<path>", path, 1)
	}
	if isCheck(block) {
		return asKind(ReloadText("TCP_CHECK", keyword, statement), block)
	}
	switch {
	case keyword == "ip_family":
		block = keyword
	case block == "authentication" && statement != "":
		statement = "authentication {\n" + statement + "}\n"
	case block == "auth_hmac" && statement != "":
		statement = "auth_hmac {\n" + statement + "}\n"
	case block == "SSL" && statement != "":
		statement = "SSL {\n" + statement + "}\n"
	case block == "service" && statement != "":
		statement = "service TCP 10.0.0.1 80 {\n" + statement + "}\n"
	case block == "vrrp" && statement != "":
		statement = "vrrp V {\n" + statement + "}\n"
	}
	if block == "track_file" && keyword != "file" {
		statement = "file /none/F\n" + statement
	}
	if block == "bfd_instance" && !strings.HasPrefix(statement, "neighbo") {
		statement = "neighbor_ip 10.1.9.3\n" + statement
	}
	text := strings.Replace(reloadFile, "<trackers>", trackers(block, keyword, statement), 1)
	text = strings.Replace(text, "<"+block+">", statement, 1)
	if keyword == "virtual_server_group" {
		return plainReload(strings.Replace(text, "<>", "", 1))
	}
	return "virtual_server_group G {\n10.0.0.4\n}\n" + plainReload(text)
}

// trackers are what a file with a statement in or about a tracker or a group has beside it.
func trackers(block, keyword, statement string) string {
	head := map[string]string{"vrrp_sync_group": "vrrp_sync_group G {\n", "track_group": "track_group G {\n", "garp_group": "garp_group {\n", "vrrp_script": "vrrp_script s1 {\n", "vrrp_track_process": "vrrp_track_process p1 {\n"}[block]
	must := map[string]string{"vrrp_script": "script /bin/true\n", "vrrp_track_process": "process a\n"}[block]
	if block == "vrrp_sync_group" && !strings.Contains(statement, "group {") {
		must = aGroup
	}
	if strings.HasPrefix(must, keyword+" ") {
		must = ""
	}
	text := ""
	if strings.HasPrefix(keyword, "track_") && block != "" {
		for _, n := range []string{"1", "2"} {
			text += "vrrp_script s" + n + " {\nscript /bin/true\ninterval 50\n}\nvrrp_track_process p" + n + " {\nprocess a\n}\ntrack_file f" + n + " {\nfile /run/a\n}\n"
		}
	}
	if keyword == "group" {
		text += "vrrp_instance V2 {\ninterface eth0\nvirtual_router_id 2\n}\n"
	}
	if head != "" && statement != "" {
		text += head + must + statement + "}\n"
	}
	return text
}

// plainReload has nothing more in its blocks.
func plainReload(text string) string {
	text = strings.Replace(text, "<bfd_instance>", "neighbor_ip 10.1.9.3\n", 1)
	text = strings.Replace(text, "<track_file>", "file /none/F\n", 1)
	for _, b := range strings.Fields("global_defs vrrp_instance authentication auth_hmac ip_family virtual_server real_server TCP_CHECK SSL weir device tables timeouts service vrrp") {
		text = strings.Replace(text, "<"+b+">", "", 1)
	}
	return strings.Replace(text, "<>", "", 1)
}
