package values

import (
	"fmt"
	"math/rand/v2"
)

// MakeLVS makes a file of virtual servers by chance, of words that keepalived 2.2.7 knows.
func MakeLVS(rng *rand.Rand) string {
	m := &maker{Rand: rng}
	if m.one(2) {
		m.block("global_defs", m.some(4, lvsGlobals))
	}
	for i, name := range sessionNames {
		m.block("bfd_instance "+name, append([]string{fmt.Sprintf("neighbor_ip 192.0.2.%d", 250+i)}, m.some(3, [][]string{{"source_ip 192.0.2.249"}, {"min_rx 100"}, {"multiplier 4"}})...))
	}
	for i := range 1 + m.IntN(3) {
		m.server(i)
	}
	return m.String()
}

// sessionNames are the BFD sessions of made files.
var sessionNames = []string{"bfd0", "bfd1"}

// some are lines of some of the choices, each in one form: one choice in so many.
func (m *maker) some(of int, choices [][]string) (lines []string) {
	for _, choice := range choices {
		if m.one(of) {
			lines = append(lines, m.pick(choice...))
		}
	}
	return lines
}

var lvsGlobals = [][]string{
	{"router_id lb1"}, {"checker_log_all_failures", "checker_log_all_failures false"}, {"lvs_flush"}, {"rs_init_notifies"},
	{"notification_email_from a@example.org"}, {"smtp_server 192.0.2.9", "smtp_server 192.0.2.9 2525"}, {"smtp_alert", "smtp_alert off", "smtp_alert_checker", "smtp_alert_checker off"},
	{"notification_email {\n a@example.org\n}"}, {"smtp_connect_timeout 9"}, {"lvs_notify_fifo /tmp/fifo"},
}

// server makes a virtual server, and its group.
func (m *maker) server(i int) {
	net, family := fmt.Sprintf("192.0.2.%d", 1+i*20+m.IntN(20)), "inet"
	if m.one(4) {
		net, family = fmt.Sprintf("2001:db8::%d", 1+i*20+m.IntN(20)), "inet6"
	}
	protocol := m.pick("TCP", "TCP", "UDP", "SCTP")
	head, lines := "", []string{"protocol " + protocol}
	switch m.IntN(5) {
	case 0:
		head = fmt.Sprintf("virtual_server fwmark %d", 1+i*9+m.IntN(9))
		if family == "inet6" {
			lines = append(lines, "ip_family inet6")
		}
	case 1:
		name := fmt.Sprintf("g%d", i)
		var entries []string
		if family == "inet" {
			entries = []string{fmt.Sprintf("10.%d.0.1 80", i), m.pick(fmt.Sprintf("10.%d.1.3-9 81", i), fmt.Sprintf("10.%d.2.1 82", i), fmt.Sprintf("fwmark %d", 50+i))}
		} else {
			entries = []string{fmt.Sprintf("2001:db8:%d::1 80", i+1), m.pick(fmt.Sprintf("2001:db8:%d::a-f 81", i+1), fmt.Sprintf("2001:db8:%d::2 82", i+1))}
		}
		m.block("virtual_server_group "+name, entries)
		head = "virtual_server group " + name
	default:
		head = fmt.Sprintf("virtual_server %s %s", net, m.pick("80", "443", "8080"))
	}
	kind := m.pick("NAT", "DR", "TUN", "TUN type ipip")
	lines = append(lines, m.pick("lb_kind ", "lvs_method ")+kind)
	lines = append(lines, m.algorithm()...)
	lines = append(lines, m.some(5, serverLines)...)
	if m.one(5) && family == "inet" {
		lines = append(lines, "persistence_timeout "+m.pick("50", "300"), m.pick("persistence_granularity 255.255.255.0", "", ""))
	}
	if m.one(3) {
		sorry := "192.0.2.200 80"
		if family == "inet6" {
			sorry = "2001:db8::200 80"
		}
		lines = append(lines, "sorry_server "+sorry, m.pick("sorry_server_inhibit", ""))
	}
	if m.one(3) {
		lines = append(lines, "quorum "+m.pick("1", "2", "3"), m.pick("hysteresis 0", "hysteresis 1", ""))
	}
	for k := range 1 + m.IntN(3) {
		lines = append(lines, m.real(i, k, family, kind == "NAT", protocol))
	}
	m.blockOf(head, lines)
}

// blockOf is block for lines of which some are blocks, and whose order matters little.
func (m *maker) blockOf(head string, lines []string) {
	m.WriteString(head + m.pick(" {\n", "\n{\n"))
	for _, line := range lines {
		if line != "" {
			m.WriteString("  " + line + m.pick("\n", "\n", " # said\n"))
		}
	}
	m.WriteString("}\n")
}

func (m *maker) algorithm() []string {
	word := m.pick("lb_algo ", "lvs_sched ")
	switch m.IntN(4) {
	case 0:
		return []string{word + "sh", m.pick("sh-port", "sh-fallback", "flag-3", "")}
	case 1:
		return []string{word + "mh", m.pick("mh-port", "mh-fallback", "")}
	}
	return []string{word + m.pick("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sed", "nq", "ovf", "fo")}
}

var serverLines = [][]string{
	{"delay_loop 6", "delay_loop 1.5"}, {"hashed"}, {"virtualhost www.example.org"}, {"alpha"}, {"omega"}, {"retry 4"}, {"delay_before_retry 2", "delay_before_retry 0.5"},
	{"warmup 3", "warmup 0"}, {"inhibit_on_failure"}, {"smtp_alert", "smtp_alert off"}, {"ha_suspend"}, {"connect_timeout 4"}, {"snmp_name name"},
	{`quorum_up "/usr/bin/true up"`, "quorum_up /usr/bin/true"}, {`quorum_down "/usr/bin/true 'a b'"`},
}

var realLines = [][]string{
	{"weight 3", "weight 0", "weight 200"}, {"inhibit_on_failure"}, {`notify_up "/usr/bin/true u"`}, {"notify_down /usr/bin/true"}, {"smtp_alert", "smtp_alert off"},
	{"delay_loop 9"}, {"retry 5"}, {"delay_before_retry 4"}, {"warmup 2"}, {"alpha"}, {"connect_timeout 8"}, {"virtualhost real.example.org"}, {"snmp_name real"},
	{"uthreshold 100\n  lthreshold 10", "uthreshold 100", ""},
}

// real makes a real server with its checks.
func (m *maker) real(i, k int, family string, masquerade bool, protocol string) string {
	inner := &maker{Rand: m.Rand}
	address := fmt.Sprintf("10.9.%d.%d", i, 1+k)
	if family == "inet6" {
		address = fmt.Sprintf("2001:db8:9:%d::%d", i, 1+k)
	}
	lines := m.some(5, realLines)
	if !masquerade && m.one(6) {
		lines = append(lines, "lvs_method "+m.pick("DR", "TUN", "TUN type gre", "TUN type gue port 5555", "TUN type gre csum"))
	}
	for range m.IntN(3) {
		lines = append(lines, m.check(family, protocol))
	}
	for _, name := range sessionNames {
		if m.one(5) {
			lines = append(lines, "BFD_CHECK {\n  name "+name+m.pick("", "\n  alpha", "\n  alpha no", "\n  alpha true")+"\n  }")
		}
	}
	inner.blockOf(fmt.Sprintf("real_server %s %s", address, m.pick("80", "443", "8080")), lines)
	return inner.String()
}

// connectLines are those of all checks with a connection.
var connectLines = [][]string{
	{"connect_timeout 3", "connect_timeout 1.5"}, {"connect_port 81"}, {"bind_port 900"}, {"fwmark 6"},
}

var timeLines = [][]string{
	{"retry 2", "retry 0"}, {"delay_before_retry 5", "delay_before_retry 0.5"}, {"warmup 1", "warmup 0"}, {"delay_loop 7", "delay_loop 2.5"}, {"alpha", "alpha no", "alpha off"}, {"log_all_failures"},
}

func (m *maker) check(family, protocol string) string {
	inner := &maker{Rand: m.Rand}
	address := m.pick("192.0.2.240", "192.0.2.241")
	if family == "inet6" {
		address = "2001:db8::f0"
	}
	lines := m.some(4, timeLines)
	connect := append(m.some(4, connectLines), m.some(4, [][]string{{"connect_ip " + address}, {"bindto " + address}})...)
	kind := m.pick("HTTP_GET", "SSL_GET", "TCP_CHECK", "SMTP_CHECK", "MISC_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK")
	switch kind {
	case "HTTP_GET", "SSL_GET":
		lines = append(append(lines, connect...), m.some(4, [][]string{{"http_protocol 1.1", "http_protocol 1.0"}, {"fast_recovery"}, {"virtualhost check.example.org"}, {"enable_sni"}, {"nb_get_retry 4"}})...)
		for range 1 + m.IntN(2) {
			url := &maker{Rand: m.Rand}
			url.blockOf("url", append([]string{"path " + m.pick("/", "/a?b=c", "\"/a b\"")}, m.some(3, [][]string{
				{"digest 640205b7b0fc66c1ea91c463fac6334d"}, {"status_code 200", "status_code 200-204 301", "status_code 200 201 202 404"}, {"virtualhost url.example.org"},
				{"regex ^a+b", `regex "a b"`}, {"regex_no_match"}, {"regex_options caseless multiline"},
			})...))
			lines = append(lines, url.String())
		}
	case "SMTP_CHECK":
		lines = append(append(lines, connect...), m.pick("helo_name mail.example.org", "helo_name x", ""))
	case "MISC_CHECK":
		lines = append(lines, m.pick(`misc_path "/usr/bin/true a b"`, "misc_path /usr/bin/true", `misc_path "/usr/bin/true 'a b' c"`), m.pick("misc_timeout 4", ""), m.pick("misc_dynamic", ""), m.pick("user root", ""))
	case "DNS_CHECK":
		lines = append(append(lines, connect...), m.pick("type A", "type AAAA", "type MX", "type SOA", ""), m.pick("name www.example.org", "name .", ""))
	case "UDP_CHECK":
		lines = append(append(lines, connect...), m.pick("payload 0a0b", "payload ff", ""), m.pick("require_reply 0102", "require_reply", ""), m.pick("min_reply_length 2", ""), m.pick("max_reply_length 20", ""))
	default:
		lines = append(lines, connect...)
	}
	inner.blockOf(kind, lines)
	return inner.String()
}
