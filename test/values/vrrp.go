package values

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// CompareVRRP lists where keepalived, whose dump of a file is given, and weir have understood
// global_defs and VRRP differently, and counts the values that they have understood in the
// same way.
func CompareVRRP(dump []string, shown map[string]any) (same int, differences []string) {
	blocks := understood(dump)
	c := &comparison{}
	c.rows("global_defs", globalRows, blocks["global"], shown["global_defs"].(map[string]any))
	c.rows("machine", machineRows, blocks["machine"], shown["machine"].(map[string]any))
	for _, kind := range blockRows {
		for _, v := range objects(shown[kind.keyword]) {
			name := kind.title + " " + fmt.Sprint(v[kind.keyword])
			d := blocks[name]
			if d == nil && kind.unused {
				continue // one that nothing uses
			}
			if d == nil {
				c.differ("%s is not there in keepalived", name)
				continue
			}
			c.rows(fmt.Sprint(kind.keyword, " ", v[kind.keyword]), kind.rows, d, v)
		}
	}
	return c.same, c.differences
}

// comparison counts the values that are the same, and lists those that differ.
type comparison struct {
	same        int
	differences []string
}

func (c *comparison) differ(format string, values ...any) {
	c.differences = append(c.differences, fmt.Sprintf(format, values...))
}

func (c *comparison) rows(where string, rows []valueRow, d *dumped, v map[string]any) {
	for _, row := range rows {
		theirs, ours, compared := row.both(d, v)
		switch {
		case !compared:
		case theirs == ours:
			c.same++
		default:
			c.differ("%s: %s: keepalived %q, weir %q", where, row.name(), theirs, ours)
		}
	}
}

// blocksGlobal is the global block of a dump.
func blocksGlobal(dump []string) *dumped { return understood(dump)["global"] }

// understood are the blocks of a dump: the global one, and those of instances, scripts and
// groups by kind and name.
func understood(lines []string) (blocks map[string]*dumped) {
	global := newDumped()
	machine := newDumped()
	blocks = map[string]*dumped{"global": global, "machine": machine}
	section, now, list := "", global, ""
	for _, line := range lines {
		text := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.HasPrefix(line, "------<") {
			section, list = strings.Trim(text, "-<> "), ""
			continue
		}
		if strings.HasPrefix(section, "Static ") {
			machine.lists[section] = append(machine.lists[section], text)
			continue
		}
		label, value, valued := strings.Cut(text, " = ")
		if section == "VRRP Sync groups" && indent == 1 {
			value, _, _ = strings.Cut(value, ", ")
		}
		if indent == 1 && section != "Global definitions" {
			now, list = newDumped(), ""
			blocks[label+" "+value] = now
			continue
		}
		own := 3
		if section == "Global definitions" {
			own = 1
		}
		switch {
		case indent > own && list != "":
			now.lists[list] = append(now.lists[list], text)
		case strings.HasSuffix(text, ":"):
			list = strings.TrimSpace(regexp.MustCompile(`( \(\d+\))? ?:$`).ReplaceAllString(text, ""))
			now.lists[list] = []string{}
		case valued:
			now.values[label], list = value, ""
		default:
			now.values[text], list = "", ""
		}
	}
	return blocks
}

// vipLine is "192.0.2.1/24 dev vrrp.51@eth0 scope global label x" as the address, its device
// without the one below, and label.
func vipLine(line string) string {
	words := strings.Fields(line)
	text := strings.TrimSuffix(strings.TrimSuffix(words[0], "/32"), "/128")
	for i := 1; i+1 < len(words); i++ {
		if words[i] == "dev" || words[i] == "label" {
			name, _, _ := strings.Cut(words[i+1], "@")
			text += " " + words[i] + " " + name
		}
	}
	return text
}

func vipMember(v map[string]any) string {
	text := strings.TrimSuffix(strings.TrimSuffix(plainText(v["address"]), "/32"), "/128")
	if dev := plainText(v["dev"]); dev != "" {
		text += " dev " + dev
	}
	if label := plainText(v["label"]); label != "" {
		text += " label " + label
	}
	return text
}

// trackLine is "chk weight 3 reverse" without what is the default.
func trackLine(line string) string {
	words := strings.Fields(strings.ReplaceAll(line, ",", ""))
	text := words[0]
	for i := 1; i < len(words); i++ {
		if words[i] == "weight" && i+1 < len(words) && words[i+1] != "0" {
			text += " " + words[i+1]
		}
		if words[i] == "reverse" {
			text += " reverse"
		}
	}
	return text
}

func trackMember(v map[string]any) string {
	text := plainText(v["name"])
	if w := plainText(v["weight"]); w != "0" && v["has_weight"] == true {
		text += " " + w
	}
	if v["reverse"] == true {
		text += " reverse"
	}
	return text
}

// globalRows are the values of global_defs.
var globalRows = []valueRow{
	unlessEmpty(word("Router ID", "router_id")),
	unlessEmpty(word("Email notification from", "notification_email_from")),
	whereShown(listed("Email notification to", "notification_email", func(line string) string { return line }, nil)),
	word("Smtp server", "smtp_server.host"),
	number("Smtp server port", "smtp_server.port"),
	number("Smtp server connection timeout", "smtp_connect_timeout"),
	yes("Disable local IGMP", "disable_local_igmp", "yes"),
	yes("LVS flush", "lvs_flush", "true"),
	yes("VRRP notify priority changes", "vrrp_notify_priority_changes", "true"),
	word("VRRP IPv4 mcast group", "vrrp_mcast_group4"),
	word("VRRP IPv6 mcast group", "vrrp_mcast_group6"),
	number("Gratuitous ARP delay", "vrrp_garp_master_delay"),
	number("Gratuitous ARP repeat", "vrrp_garp_master_repeat"),
	number("Gratuitous ARP refresh timer", "vrrp_garp_master_refresh"),
	number("Gratuitous ARP refresh repeat", "vrrp_garp_master_refresh_repeat"),
	number("Gratuitous ARP lower priority delay", "vrrp_garp_lower_prio_delay"),
	number("Gratuitous ARP lower priority repeat", "vrrp_garp_lower_prio_repeat"),
	number("Num adverts before down", "vrrp_down_timer_adverts"),
	yes("Send advert after receive lower priority advert", "vrrp_lower_prio_no_advert", "false"),
	yes("Send advert after receive higher priority advert", "vrrp_higher_prio_send_advert", "true"),
	number("Gratuitous ARP interval", "vrrp_garp_interval"),
	number("Gratuitous NA interval", "vrrp_gna_interval"),
	number("VRRP default protocol version", "vrrp_version"),
	yes("VRRP check unicast_src", "vrrp_check_unicast_src", "true"),
	yes("VRRP skip check advert addresses", "vrrp_skip_check_adv_addr", "true"),
	yes("VRRP strict mode", "vrrp_strict", "true"),
	number("Max auto priority", "max_auto_priority"),
	number("Min auto priority delay", "min_auto_priority_delay"),
	yes("Checkers log all failures", "checker_log_all_failures", "true"),
	yes("rs_init_notifies", "rs_init_notifies", "1"),
	number("rx_bufs_multiples", "vrrp_rx_bufs_multiplier"),
}

// blockRows are the kinds of blocks that are compared.
var blockRows = []struct {
	keyword, title string
	// unused is a block that keepalived drops where nothing uses it.
	unused bool
	rows   []valueRow
}{
	{"vrrp_instance", "VRRP Instance", false, instanceRows},
	{"vrrp_sync_group", "VRRP Sync Group", false, syncRows},
	{"vrrp_script", "VRRP Script", true, scriptRows},
	{"track_file", "Track file", true, fileRows},
	{"vrrp_track_process", "VRRP Track process", true, processRows},
}

// notifyRows are the scripts of instances and of groups.
var notifyRows = []valueRow{
	command("Master state transition script", "notify_master.command"),
	command("Backup state transition script", "notify_backup.command"),
	command("Fault state transition script", "notify_fault.command"),
	command("Stop state transition script", "notify_stop.command"),
	command("Generic state transition script", "notify.command"),
	command("Master rx lower priority script", "notify_master_rx_lower_pri.command"),
}

// syncRows are the values of vrrp_sync_group.
var syncRows = append([]valueRow{
	listed("VRRP member instances", "group", func(line string) string { return line }, nil),
	bare("sync group tracking weight set", "sync_group_tracking_weight"),
	yes("Using smtp notification", "smtp_alert", "yes"),
	yes("Notify priority changes", "notify_priority_changes", "yes"),
	listed("Tracked interfaces", "track_interface", trackLine, trackMember),
	listed("Tracked scripts", "track_script", trackLine, trackMember),
	listed("Tracked files", "track_file", trackLine, trackMember),
	listed("Tracked process", "track_process", trackLine, trackMember),
}, notifyRows...)

// fileRows are the values of track_file.
var fileRows = []valueRow{
	word("File", "file"),
	number("Weight", "weight"),
}

// processRows are the values of vrrp_track_process.
var processRows = []valueRow{
	present("Process", "process", func(v string) string { return v }, func(v any) string {
		words, _ := v.([]any)
		if len(words) == 0 {
			return ""
		}
		return plainText(words[0])
	}),
	present("Parameters", "process", func(v string) string { return v }, func(v any) string {
		var words []string
		all, _ := v.([]any)
		for _, w := range all[min(1, len(all)):] {
			words = append(words, plainText(w))
		}
		return strings.Join(words, " ")
	}),
	word("Param match", "param_match"),
	number("Weight", "weight"),
	number("Min processes", "quorum"),
	number("Max processes", "quorum_max"),
	number("Terminate delay", "terminate_delay"),
	number("Fork delay", "fork_delay"),
	yes("Full command", "full_command", "true"),
}

// machineRows are the addresses, routes and rules that stand outside the instances.
var machineRows = []valueRow{
	listed("Static Addresses", "static_ipaddress", vipLine, vipMember),
	listed("Static Routes", "static_routes", routeLine, routeMember),
	listed("Static Rules", "static_rules", ruleLine, ruleMember),
}

// routeLine is "prepend 203.0.113.0/24 via inet 192.0.2.9 dev eth0 proto 18 [installed]" as
// where the route leads to and its options.
func routeLine(line string) string {
	line, _, _ = strings.Cut(line, " [")
	words := strings.Fields(line)[1:]
	var to string
	var options []string
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "no_track":
		case w == "blackhole" || w == "unreachable" || w == "prohibit" || w == "throw":
			options = append(options, w)
		case w == "via" && i+2 < len(words):
			options, i = append(options, "via "+words[i+2]), i+2
		case to == "":
			to = w
		case i+1 < len(words):
			i++
			if scope := map[string]string{"253": "link", "254": "host", "200": "site", "0": "global"}[words[i]]; w == "scope" && scope != "" {
				words[i] = scope
			}
			if w != "proto" || words[i] != "18" {
				options = append(options, w+" "+words[i])
			}
		}
	}
	return to + " " + strings.Join(sorted(options), ", ")
}

// optionsOf are the options of a route or rule, by the names that keepalived shows.
func optionsOf(v map[string]any, names map[string]string) (options []string) {
	for _, o := range objects(v["options"]) {
		name := plainText(o["name"])
		if as, ok := names[name]; ok {
			name = as
		}
		if name != "" {
			options = append(options, plainMark(strings.TrimSpace(name+" "+plainText(o["value"]))))
		}
	}
	return sorted(options)
}

func routeMember(v map[string]any) string {
	to := plainText(v["to"])
	if to == "" {
		to = "0.0.0.0/0"
		if strings.Contains(fmt.Sprint(v["options"]), "::") {
			to = "::/0"
		}
	}
	to = strings.TrimSuffix(strings.TrimSuffix(to, "/32"), "/128")
	return to + " " + strings.Join(optionsOf(v, map[string]string{"protocol": "proto", "no_track": "", "track_group": "", "or": "via", "dst": ""}), ", ")
}

// ruleLine is "from 192.0.2.0/24 priority 500 tos 0x0 protocol 18 lookup 5" without what is
// the default. keepalived numbers the rules without a priority from 16384 down.
func ruleLine(line string) string {
	words := strings.Fields(line)
	var options []string
	for i := 0; i+1 < len(words); i += 2 {
		option := words[i] + " " + words[i+1]
		if table := map[string]string{"lookup 254": "lookup main", "lookup 255": "lookup local", "lookup 253": "lookup default"}[option]; table != "" {
			option = table
		}
		if option = plainMark(option); option != "from all" && option != "to all" && option != "tos 0x0" && option != "protocol 18" && !strings.HasPrefix(option, "priority 163") {
			options = append(options, option)
		}
	}
	return strings.Join(sorted(options), ", ")
}

// plainMark is an option with a mark, and perhaps its mask, in decimals.
func plainMark(option string) string {
	marks, ok := strings.CutPrefix(option, "fwmark ")
	if !ok {
		return option
	}
	parts := strings.Split(marks, "/")
	for i, part := range parts {
		if n, err := strconv.ParseUint(part, 0, 32); err == nil {
			parts[i] = fmt.Sprint(n)
		}
	}
	return "fwmark " + strings.Join(parts, "/")
}

func ruleMember(v map[string]any) string {
	return strings.Join(optionsOf(v, map[string]string{"table": "lookup", "no_track": "", "track_group": "", "preference": "priority", "order": "priority", "pref": "priority"}), ", ")
}

// instanceRows are the values of vrrp_instance.
var instanceRows = append([]valueRow{
	number("VRRP Version", "version"),
	word("Wantstate", "state"),
	{label: "Interface", member: "interface", theirs: func(d *dumped, label string) (string, bool) {
		v := d.values[label]
		if _, on, ok := strings.Cut(v, " on "); ok {
			v, _, _ = strings.Cut(on, ",")
		}
		return v, true
	}, ours: plainText},
	{label: "Using src_ip", member: "mcast_src_ip", theirs: func(d *dumped, label string) (string, bool) {
		address, given := strings.CutSuffix(d.values[label], " (from configuration)")
		if !given {
			address = ""
		}
		return address, true
	}, ours: plainText},
	number("Gratuitous ARP delay", "garp_master_delay"),
	number("Gratuitous ARP repeat", "garp_master_repeat"),
	number("Gratuitous ARP refresh", "garp_master_refresh"),
	number("Gratuitous ARP refresh repeat", "garp_master_refresh_repeat"),
	number("Gratuitous ARP lower priority delay", "garp_lower_prio_delay"),
	number("Gratuitous ARP lower priority repeat", "garp_lower_prio_repeat"),
	number("Down timer adverts", "down_timer_adverts"),
	yes("Send advert after receive lower priority advert", "lower_prio_no_advert", "false"),
	yes("Send advert after receive higher priority advert", "higher_prio_send_advert", "true"),
	number("Virtual Router ID", "virtual_router_id"),
	number("Priority", "priority"),
	{label: "Advert interval", member: "advert_int", theirs: func(d *dumped, label string) (string, bool) {
		n, unit, _ := strings.Cut(d.values[label], " ")
		f, err := strconv.ParseFloat(n, 64)
		if unit == "milli-sec" {
			f /= 1000
		}
		return plainText(f), err == nil
	}, ours: plainText},
	yes("Accept", "accept", "enabled"),
	yes("Preempt", "nopreempt", "disabled"),
	absent(number("Preempt delay", "preempt_delay"), "0"),
	yes("Promote_secondaries", "promote_secondaries", "enabled"),
	{label: "Authentication type", member: "authentication.auth_type", theirs: func(d *dumped, label string) (string, bool) {
		return map[string]string{"": "none", "none": "none", "SIMPLE_PASSWORD": "PASS", "IPSEC_AH": "AH"}[d.values[label]], true
	}, ours: plainText},
	word("Password", "authentication.auth_pass"),
	bare("VRRP interface tracking disabled", "dont_track_primary"),
	bare("Skip checking advert IP addresses", "skip_check_adv_addr"),
	bare("Enforcing strict VRRP compliance", "strict_mode"),
	listed("Virtual IP", "virtual_ipaddress", vipLine, vipMember),
	listed("Virtual IP Excluded", "virtual_ipaddress_excluded", vipLine, vipMember),
	listed("Unicast Peer", "unicast_peer", func(line string) string { return line }, func(v map[string]any) string {
		return fmt.Sprintf("%v min_ttl %v max_ttl %v", v["address"], v["min_ttl"], v["max_ttl"])
	}),
	number("Unicast TTL", "unicast_ttl"),
	listed("Tracked interfaces", "track_interface", trackLine, trackMember),
	listed("Tracked scripts", "track_script", trackLine, trackMember),
	listed("Tracked files", "track_file", trackLine, trackMember),
	listed("Tracked processes", "track_process", trackLine, trackMember),
	yes("Using smtp notification", "smtp_alert", "yes"),
	yes("Notify priority changes", "notify_priority_changes", "true"),
	listed("Virtual Routes", "virtual_routes", routeLine, routeMember),
	listed("Virtual Rules", "virtual_rules", ruleLine, ruleMember),
}, notifyRows...)

// scriptRows are the values of vrrp_script.
var scriptRows = []valueRow{
	command("Command", "script.command"),
	present("Timeout", "timeout", func(v string) string { v, _, _ = strings.Cut(v, " "); return v }, plainText).unless("0"), // of an interval
	number("Interval", "interval"),
	number("Weight", "weight"),
	number("Rise", "rise"),
	number("Fall", "fall"),
}
