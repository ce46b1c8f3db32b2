package conf

import (
	"fmt"
	"strings"
	"sync"

	"weir/conf/text"
)

// meant is a word that is none of a block's, and what people mean by it: words of old
// versions, of other programs, of changes that were only proposed, and words that look
// right.
type meant struct {
	// block is where it stands, "" outside any block.
	block string
	// words are the words, with blanks in between.
	words string
	// instead is the keyword of the same block that is meant, "" where there is none.
	instead string
	// why is the hint, where "did you mean" would not do. With instead as well, the words
	// belong outside any block, and the block has one for the same thing.
	why string
}

// meantWords are all of them. TestMeantWords tries every one.
var meantWords = []meant{
	{"", "bal_defs global globals global_def defs global_definitions defaults", "global_defs", ""},
	{"", "vrrp vrrp_group vrrp_instances instance_vrrp vip_instance", "vrrp_instance", ""},
	{"", "sync_group vrrp_sync vrrp_syncgroup", "vrrp_sync_group", ""},
	{"", "check_script vrrp_check vrrp_check_script vrrp_scripts script track_script vrrp_track_script", "vrrp_script", ""},
	{"", "virtual_service service lvs vs virtual virtual_host", "virtual_server", ""},
	{"", "server_group virtual_servers_group vs_group", "virtual_server_group", ""},
	{"", "static_ip static_ips static_addresses static_address", "static_ipaddress", ""},
	{"", "static_route", "static_routes", ""},
	{"", "static_rule", "static_rules", ""},
	{"", "track_process process_track vrrp_process", "vrrp_track_process", ""},
	{"", "bfd", "bfd_instance", ""},
	{"", "ssl tls", "SSL", ""},
	{"", "namespace netns", "net_namespace", ""},
	{"", "real_servers", "", "real_server stands in virtual_server"},

	{"global_defs", "hostname host_name node_name nodename routerid server_id", "router_id", ""},
	{"global_defs", "email emails notify_email notification_mail mail_to", "notification_email", ""},
	{"global_defs", "email_from mail_from from sender notify_email_from", "notification_email_from", ""},
	{"global_defs", "mail_server smtp smtp_host smtp_relay mailserver", "smtp_server", ""},
	{"global_defs", "smtp_timeout smtp_connection_timeout", "smtp_connect_timeout", ""},
	{"global_defs", "script_security enable_scripts_security", "enable_script_security", ""},
	{"global_defs", "user scripts_user script_usr", "script_user", ""},
	{"global_defs", "vrrp_mcast_group mcast_group vrrp_multicast_group", "vrrp_mcast_group4", ""},
	{"global_defs", "strict strict_mode", "vrrp_strict", ""},
	{"global_defs", "sync_daemon lvs_sync ipvs_sync_daemon", "lvs_sync_daemon", ""},
	{"global_defs", "garp_master_delay", "vrrp_garp_master_delay", ""},
	{"global_defs", "garp_master_repeat", "vrrp_garp_master_repeat", ""},
	{"global_defs", "garp_master_refresh", "vrrp_garp_master_refresh", ""},
	{"global_defs", "version", "vrrp_version", ""},

	{"vrrp_instance", "vrid vr_id virtual_id router_id virtual_routerid vrrp_id", "virtual_router_id", ""},
	{"vrrp_instance", "prio", "priority", ""},
	{"vrrp_instance", "nic dev device iface ifname eth network_interface", "interface", ""},
	{"vrrp_instance", "vip vips virtual_ip virtual_ips virtual_address virtual_addresses ip address addresses ipaddress virtual_ipaddr", "virtual_ipaddress", ""},
	{"vrrp_instance", "role mode initial_state", "state", ""},
	{"vrrp_instance", "peer peers unicast_peers unicast", "unicast_peer", ""},
	{"vrrp_instance", "source_ip src_ip unicast_source_ip unicast_ip", "unicast_src_ip", ""},
	{"vrrp_instance", "mcast_source_ip multicast_src_ip", "mcast_src_ip", ""},
	{"vrrp_instance", "interval advert_interval advertisement_interval advert advert_time hello_interval", "advert_int", ""},
	{"vrrp_instance", "no_preempt nopreemption", "nopreempt", ""},
	{"vrrp_instance", "preemption_delay delay_preempt", "preempt_delay", ""},
	{"vrrp_instance", "auth authenticate", "authentication", ""},
	{"vrrp_instance", "script scripts track_scripts check_script vrrp_script", "track_script", ""},
	{"vrrp_instance", "track_interfaces monitor_interface", "track_interface", ""},
	{"vrrp_instance", "vrrp_version", "version", ""},
	{"vrrp_instance", "vrrp_strict", "strict_mode", ""},
	{"vrrp_instance", "vmac virtual_mac", "use_vmac", ""},
	{"vrrp_instance", "on_master notify_up", "notify_master", ""},
	{"vrrp_instance", "on_backup notify_down notify_slave", "notify_backup", ""},
	{"vrrp_instance", "routes virtual_route", "virtual_routes", ""},
	{"vrrp_instance", "vrrp_garp_master_delay garp_delay", "garp_master_delay", ""},

	{"authentication", "type", "auth_type", ""},
	{"authentication", "password pass auth_password passwd secret key", "auth_pass", ""},

	{"vrrp_sync_group", "members instances member instance vrrp_instance groups", "group", ""},
	{"vrrp_sync_group", "notify_up", "notify_master", ""},
	{"vrrp_sync_group", "notify_down", "notify_backup", ""},

	{"vrrp_script", "command cmd exec path misc_path", "script", ""},
	{"vrrp_script", "delay_loop delay", "interval", ""},
	{"vrrp_script", "retry retries fails failures", "fall", ""},
	{"vrrp_script", "successes", "rise", ""},
	{"vrrp_script", "misc_timeout script_timeout", "timeout", ""},
	{"vrrp_script", "priority", "weight", ""},

	{"virtual_server", "scheduler sched algo algorithm lb_algorithm balance lvs_scheduler lb_sched", "lb_algo", ""},
	{"virtual_server", "mode kind forward forwarding forwarding_method lvs_kind method lb_mode lb_type", "lb_kind", ""},
	{"virtual_server", "persistence persistent sticky persistance_timeout persistence_time", "persistence_timeout", ""},
	{"virtual_server", "netmask persistence_netmask granularity", "persistence_granularity", ""},
	{"virtual_server", "server servers rs backend real", "real_server", ""},
	{"virtual_server", "check_interval interval loop_delay checkinterval", "delay_loop", ""},
	{"virtual_server", "fallback sorry backup_server sorryserver", "sorry_server", ""},
	{"virtual_server", "proto service_protocol", "protocol", ""},
	{"virtual_server", "vhost host", "virtualhost", ""},
	{"virtual_server", "notify_up", "quorum_up", ""},
	{"virtual_server", "notify_down", "quorum_down", ""},
	{"virtual_server", "one_packet one_packet_scheduling onepacket", "ops", ""},
	{"virtual_server", "connection_timeout timeout", "connect_timeout", ""},

	{"real_server", "check CHECK tcp TCP TCP_CONNECT tcp_connect CONNECT_CHECK PORT_CHECK", "TCP_CHECK", ""},
	{"real_server", "HTTP_CHECK HTTP http", "HTTP_GET", ""},
	{"real_server", "HTTPS_GET HTTPS_CHECK HTTPS SSL_CHECK TLS_CHECK TLS_GET", "SSL_GET", ""},
	{"real_server", "ICMP_CHECK ICMP PING", "PING_CHECK", ""},
	{"real_server", "SCRIPT_CHECK EXEC_CHECK EXTERNAL_CHECK SCRIPT MISC", "MISC_CHECK", ""},
	{"real_server", "MYSQL_CHECK REDIS_CHECK SSH_CHECK PGSQL_CHECK LDAP_CHECK FTP_CHECK", "", "there is no such check: write TCP_CHECK, or MISC_CHECK with a program"},
	{"real_server", "port", "", "the port stands behind the address: real_server IP PORT"},
	{"real_server", "priority", "weight", ""},
	{"real_server", "lb_kind forward method", "lvs_method", ""},
	{"real_server", "notify_master", "notify_up", ""},
	{"real_server", "notify_backup", "notify_down", ""},
	{"real_server", "max_connections maxconn upper_threshold", "uthreshold", ""},
	{"real_server", "min_connections minconn lower_threshold", "lthreshold", ""},
	{"real_server", "check_interval interval", "delay_loop", ""},

	{"TCP_CHECK", "timeout connection_timeout tcp_timeout", "connect_timeout", ""},
	{"TCP_CHECK", "port check_port", "connect_port", ""},
	{"TCP_CHECK", "ip address", "connect_ip", ""},
	{"TCP_CHECK", "retries nb_retry nb_retries", "retry", ""},
	{"TCP_CHECK", "interval check_interval", "delay_loop", ""},

	{"HTTP_GET", "uri page", "url", ""},
	{"HTTP_GET", "path digest status_code", "", "it belongs in url"},
	{"HTTP_GET", "host hostname vhost", "virtualhost", ""},
	{"HTTP_GET", "timeout connection_timeout http_timeout", "connect_timeout", ""},
	{"HTTP_GET", "port", "connect_port", ""},
	{"SSL_GET", "uri page", "url", ""},
	{"SSL_GET", "host hostname vhost", "virtualhost", ""},
	{"SSL_GET", "timeout connection_timeout", "connect_timeout", ""},
	{"SSL_GET", "sni", "enable_sni", ""},
	{"url", "uri page", "path", ""},
	{"url", "status code http_code statuscode expect", "status_code", ""},
	{"url", "host hostname vhost", "virtualhost", ""},
	{"url", "md5 md5sum hash", "digest", ""},
	{"url", "username password", "", "it is proposed for a later keepalived: 2.4.3 has no login for a page"},

	{"MISC_CHECK", "script path command cmd misc_script", "misc_path", ""},
	{"MISC_CHECK", "timeout script_timeout", "misc_timeout", ""},
	{"MISC_CHECK", "dynamic", "misc_dynamic", ""},
	{"SMTP_CHECK", "timeout", "connect_timeout", ""},
	{"SMTP_CHECK", "helo hello", "helo_name", ""},
	{"DNS_CHECK", "domain query qname", "name", ""},
	{"DNS_CHECK", "record qtype record_type", "type", ""},
	{"UDP_CHECK", "data send", "payload", ""},
	{"UDP_CHECK", "reply expect receive", "require_reply", ""},
	{"BFD_CHECK", "bfd instance bfd_instance", "name", ""},
	{"weir", "vrrp_instance instance", "vrrp", "write weir { vrrp NAME { … } }"},
	{"weir", "virtual_server", "service", "write weir { service TCP IP PORT { … } }"},
	{"bfd_instance", "neighbor neighbour peer peer_ip", "neighbor_ip", ""},
	{"bfd_instance", "source src_ip local_ip", "source_ip", ""},
	{"bfd_instance", "detect_mult detect_multiplier mult", "multiplier", ""},
	{"track_file", "path", "file", ""},
	{"vrrp_track_process", "name command program", "process", ""},
	{"SSL", "cert crt", "certificate", ""},
	{"SSL", "cafile ca_file", "ca", ""},
}

// meantBy is what is meant by a word in a block.
func (s *blockSpec) meantBy(word string) (meant, bool) {
	m, ok := meantIndex()[[2]string{s.name, word}]
	return m, ok
}

// meantIndex is the table by block and word, made once.
var meantIndex = sync.OnceValue(func() map[[2]string]meant {
	all := map[[2]string]meant{}
	for _, m := range meantWords {
		for word := range strings.FieldsSeq(m.words) {
			all[[2]string{m.block, word}] = m
		}
	}
	return all
})

// hint is what to write.
func (m meant) hint() string {
	if m.why != "" {
		return m.why
	}
	return fmt.Sprintf("did you mean %q?", m.instead)
}

// meantValues are values of other programs, by what is chosen: what to write follows the
// words.
var meantValues = map[string][][2]string{
	"forward method": {
		{"masq masquerade masquerading snat", "NAT"}, {"gate gatewaying gateway dsr direct direct_routing droute route", "DR"}, {"ipip tunnel tunneling tunl", "TUN"},
	},
	"scheduler": {
		{"roundrobin round_robin round-robin", "rr"}, {"weighted_round_robin", "wrr"}, {"leastconn least_conn least-conn", "lc"},
		{"weighted_least_conn weighted_leastconn", "wlc"}, {"source ip_hash source_hash iphash hash", "sh"}, {"maglev", "mh"}, {"failover", "fo"},
	},
	"protocol":            {{"http https HTTP HTTPS ssl tls 6 tcp4 tcp6", "TCP"}, {"dns DNS 17 udp4 udp6", "UDP"}},
	"state":               {{"primary PRIMARY active ACTIVE leader", "MASTER"}, {"slave SLAVE standby STANDBY secondary SECONDARY passive", "BACKUP"}},
	"authentication type": {{"password PASSWORD simple plain text", "PASS"}, {"ipsec ah-md5", "AH"}},
	"HTTP version":        {{"1 http/1.0 HTTP/1.0", "1.0"}, {"http/1.1 HTTP/1.1 2 2.0", "1.1"}},
}

// meantValue is what to write for a value, "" where nobody knows.
func meantValue(noun, word string) string {
	for _, row := range meantValues[noun] {
		for one := range strings.FieldsSeq(row[0]) {
			if one == word {
				return row[1]
			}
		}
	}
	return ""
}

// tellMeant says what is meant by a word that the block does not have, and reads it so.
func (r *reader) tellMeant(m meant, spec *blockSpec, b *text.Block, st *text.Statement, into any) {
	b.Unsure = b.Unsure || m.instead == ""
	r.diags.ErrorOf(text.KindKeyword, st.Place(), fmt.Sprintf("unknown keyword %q %s", text.Shorten(st.Keyword()), spec.where()), m.hint())
	if m.instead != "" {
		b.Statements = append(b.Statements, &text.Statement{Entry: spec.Lookup(m.instead), Words: st.Words, Broken: true})
		r.tryAs(spec.lookup(m.instead), st, into)
	}
}
