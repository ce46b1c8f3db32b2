package values

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Devices are the interfaces that made files name.
var Devices = []string{"eth0", "eth1", "eth2", "eth3", "ens160"}

// MakeVRRP makes a file of VRRP by chance, of words that keepalived 2.2.7 knows.
func MakeVRRP(rng *rand.Rand) string {
	m := &maker{Rand: rng}
	if m.one(2) {
		m.definitions()
	}
	if m.one(2) {
		m.block("global_defs", m.globalLines())
	}
	m.block("vrrp_script chk", []string{`script "/bin/true"`, m.pick("interval 1", "interval 2", "interval 0.5"), m.pick("weight 5", "weight -20", "weight 0", "")})
	m.trackers()
	m.static()
	n := 1 + m.IntN(3)
	for i := range n {
		m.block(fmt.Sprintf("vrrp_instance V%d", i), m.instanceLines(i))
	}
	if n > 1 && m.one(2) {
		m.block("vrrp_sync_group G", m.groupLines(n))
	}
	return m.String()
}

// trackers are a file and a process to be watched.
func (m *maker) trackers() {
	m.block("track_file tf", []string{`file "/tmp/tf"`, m.pick("weight 2", "weight -3", "weight 0", ""), m.pick("init_file 3", "init_file 0 overwrite", "")})
	m.block("vrrp_track_process tp", []string{
		m.pick("process nginx", "process nginx -g x", `process "/usr/sbin/nginx -g"`), m.pick("weight 4", "weight -9", ""), m.pick("quorum 2", ""), m.pick("quorum_max 5", ""),
		m.pick("fork_delay 2", "terminate_delay 1.5", "delay 3", ""), m.pick("full_command", ""), m.pick("param_match initial", "param_match partial", ""),
	})
}

// static are addresses, routes and rules of the machine.
func (m *maker) static() {
	if m.one(3) {
		m.block("static_ipaddress", []string{m.pick("203.0.113.1/24 dev eth1", "203.0.113.2 dev eth2 scope link", "203.0.113.3/24 brd 203.0.113.255 dev eth1 label eth1:s", "203.0.113.4"), m.pick("2001:db8:9::1/64 dev eth3", "")})
	}
	if m.one(3) {
		m.block("static_routes", []string{
			m.pick("198.18.0.0/24 via 198.51.100.9 dev eth0", "src 198.51.100.1 198.18.0.0/24 via 198.51.100.9 dev eth0 metric 7", "198.18.0.0/24 dev eth1 scope link table 100", "blackhole 198.18.1.0/24"),
			m.pick("default via 198.51.100.8 dev eth0 table 5", "0.0.0.0/0 via 198.51.100.8 dev eth0 table 6 mtu 1400", "2001:db8:8::/64 dev eth2 metric 9", ""),
		})
	}
	if m.one(3) {
		m.block("static_rules", []string{m.pick("from 198.18.0.0/24 table 100 priority 500", "to 198.18.0.0/24 lookup 5 preference 600", "iif eth1 fwmark 7 table 8 priority 9", "from 198.18.0.1 to 198.18.2.0/24 table main priority 77")})
	}
}

// groupLines are those of a sync group of the instances.
func (m *maker) groupLines(n int) []string {
	members := "group {\n"
	for i := range n {
		members += fmt.Sprintf("V%d\n", i)
	}
	lines := []string{members + "}"}
	for _, choice := range [][]string{
		{"track_interface {\neth2 weight 3\n}", "track_interface {\neth2\n}"}, {"track_script {\nchk weight 4\n}"}, {"track_file {\ntf weight 3\n}", "track_file {\ntf weight 3 reverse\n}"},
		{"track_process {\ntp weight 6\n}", "track_process {\ntp\n}"}, {"smtp_alert", "smtp_alert off"}, {"sync_group_tracking_weight"}, {"notify_priority_changes on", "notify_priority_changes"},
		{`notify_master "/usr/bin/true m"`, "notify_master /usr/bin/true"}, {`notify_backup "/usr/bin/true b"`}, {`notify_fault "/usr/bin/true f 'g h'"`}, {`notify_stop "/usr/bin/true s"`}, {`notify "/usr/bin/true n"`},
	} {
		if m.one(3) {
			lines = append(lines, m.pick(choice...))
		}
	}
	return lines
}

// maker writes a file.
type maker struct {
	*rand.Rand
	strings.Builder
	names []string
}

func (m *maker) one(of int) bool { return m.IntN(of) == 0 }

func (m *maker) pick(of ...string) string { return of[m.IntN(len(of))] }

// definitions define names that lines may use.
func (m *maker) definitions() {
	m.names = []string{"DEV", "PRIO", "ADDR"}
	fmt.Fprintf(m, "$DEV=%s\n$PRIO=%d\n$ADDR=192.0.2\n", m.pick("eth0", "eth1"), 1+m.IntN(254))
}

// block writes a block with its lines in some order, and in some layout.
func (m *maker) block(head string, lines []string) {
	m.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
	m.WriteString(head + m.pick(" {\n", "\n{\n", " {   # a comment\n"))
	for _, line := range lines {
		if line == "" {
			continue
		}
		m.WriteString(m.pick("  ", "\t", "") + line + m.pick("\n", "\n", "  \n", " ! said\n", "\n\n"))
	}
	m.WriteString("}\n")
}

func (m *maker) globalLines() (lines []string) {
	for _, choice := range [][]string{
		{"router_id lb1", "router_id 'a b'", `router_id "x\ty"`}, {"vrrp_version 2", "vrrp_version 3"},
		{"vrrp_garp_master_delay 3", "vrrp_garp_master_delay 0"}, {"vrrp_garp_master_repeat 2"}, {"vrrp_garp_master_refresh 60"},
		{"vrrp_garp_master_refresh_repeat 3"}, {"vrrp_garp_lower_prio_delay 4"}, {"vrrp_garp_lower_prio_repeat 6"},
		{"vrrp_lower_prio_no_advert", "vrrp_lower_prio_no_advert true", "vrrp_lower_prio_no_advert no"},
		{"vrrp_higher_prio_send_advert", "vrrp_higher_prio_send_advert false"}, {"vrrp_skip_check_adv_addr", "vrrp_skip_check_adv_addr off"},
		{"vrrp_garp_interval 0.25", "vrrp_garp_interval 1.5"}, {"vrrp_gna_interval 0.1"}, {"vrrp_strict"}, {"vrrp_down_timer_adverts 4"},
		{"default_interface eth1"}, {"smtp_alert", "smtp_alert_vrrp", "smtp_alert off"}, {"vrrp_check_unicast_src"}, {"vrrp_notify_priority_changes on"},
		{"max_auto_priority 20"}, {"vrrp_mcast_group4 224.0.0.20"}, {"vrrp_rx_bufs_multiplier 5"}, {"disable_local_igmp"}, {"checker_log_all_failures"},
		{"notification_email_from a@example.org"}, {"notification_email {\n a@example.org\n b@example.org c@example.org\n}"}, {"smtp_server 192.0.2.9", "smtp_server 192.0.2.9 2525"},
	} {
		if m.one(4) {
			lines = append(lines, m.pick(choice...))
		}
	}
	return lines
}

func (m *maker) instanceLines(i int) []string {
	device, priority, net := m.pick(Devices...), fmt.Sprint(1+m.IntN(254)), fmt.Sprintf("192.0.%d", i)
	if m.names != nil && m.one(2) {
		device, priority, net = "$DEV", m.pick("$PRIO", "${PRIO}"), "${ADDR}"
	}
	lines := []string{
		"interface " + device, fmt.Sprintf("virtual_router_id %d", 10+i*20+m.IntN(20)), "priority " + priority,
		fmt.Sprintf("virtual_ipaddress {\n%s.%d%s\n%s\n}", net, 1+m.IntN(200), m.pick("", "/24", "/24 dev eth2", "/32 label eth1:x dev eth1", "/24 brd +"), m.pick("", net+".201")),
	}
	for _, choice := range [][]string{
		{"state MASTER", "state BACKUP", "state MASTER\nstate BACKUP"}, {"advert_int 1", "advert_int 3"}, {"version 2", "version 3", "version 3\nadvert_int 0.5"},
		{"authentication {\nauth_type PASS\nauth_pass 1111\n}", "authentication {\nauth_type PASS\nauth_pass abcdefghijkl\n}", "authentication {\nauth_pass \"a b\"\nauth_type PASS\n}"},
		{"nopreempt", "nopreempt\npreempt"}, {"preempt_delay 5", "preempt_delay 0.5", "preempt_delay 300"}, {"garp_master_delay 2", "garp_master_delay 0"},
		{"garp_master_repeat 3", "garp_master_repeat 0"}, {"garp_master_refresh 30"}, {"garp_master_refresh_repeat 2"}, {"garp_lower_prio_delay 1"},
		{"garp_lower_prio_repeat 2", "garp_lower_prio_repeat 0"}, {"lower_prio_no_advert", "lower_prio_no_advert false"}, {"higher_prio_send_advert", "higher_prio_send_advert no"},
		{"down_timer_adverts 5"}, {"accept", "no_accept"}, {"strict_mode", "strict_mode off"}, {"skip_check_adv_addr", "skip_check_adv_addr off"}, {"dont_track_primary"},
		{"smtp_alert", "smtp_alert off"}, {"notify_priority_changes", "notify_priority_changes false"}, {"promote_secondaries"},
		{"unicast_peer {\n198.51.100.77\n}", "unicast_peer {\n198.51.100.77 min_ttl 5\n198.51.100.78 max_ttl 9\n}", "unicast_peer {\n198.51.100.77 min_ttl 2 max_ttl 100\n}"},
		{"unicast_src_ip 198.51.100.1", "mcast_src_ip 198.51.100.2"}, {"unicast_ttl 20"}, {"check_unicast_src"},
		{"track_interface {\neth1\neth2 weight 5\n}", "track_interface {\neth3 weight -7\n}"}, {"track_script {\nchk\n}", "track_script {\nchk weight 9\n}", "track_script {\nchk weight 9 reverse\n}"},
		{"track_file {\ntf weight 3\n}", "track_file {\ntf\n}"}, {"track_process {\ntp weight -2\n}", "track_process {\ntp\n}"},
		{"virtual_routes {\n198.19.0.0/24 via 198.51.100.9 dev eth0\n}", "virtual_routes {\nsrc 198.51.100.1 to 198.19.0.0/24 via 198.51.100.9 dev eth0 table 7 metric 3\nblackhole 198.19.1.0/24\n}"},
		{"virtual_rules {\nfrom 198.19.0.0/24 table 7 priority 40\n}"},
		{`notify_master "/usr/bin/true m"`}, {"notify_backup /usr/bin/true"}, {`notify_fault "/usr/bin/true f g"`}, {`notify_stop "/usr/bin/true s"`}, {`notify "/usr/bin/true n"`}, {`notify_master_rx_lower_pri "/usr/bin/true l"`},
		{"virtual_ipaddress_excluded {\n203.0.113." + fmt.Sprint(1+i*9+m.IntN(9)) + "/24\n}"},
	} {
		if m.one(4) {
			lines = append(lines, m.pick(choice...))
		}
	}
	return lines
}
