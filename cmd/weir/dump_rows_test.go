package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// valueRow is a value that a dump of keepalived and weir's JSON both have.
type valueRow struct {
	// label is keepalived's, member weir's.
	label, member string
	// theirs makes keepalived's text what weir's is; ours makes text of a value of weir's.
	theirs func(d *dumped, label string) (string, bool)
	ours   func(v any) string
	// skipEmpty leaves out what weir has no value for.
	skipEmpty bool
}

func (r valueRow) name() string { return r.member }

// whereShown leaves a list out that the dump does not have: without a mail relay it has no
// mail addresses.
func whereShown(row valueRow) valueRow {
	read := row.theirs
	row.theirs = func(d *dumped, label string) (string, bool) {
		text, _ := read(d, label)
		return text, d.lists[label] != nil
	}
	return row
}

// unlessEmpty leaves out what weir has no value for: what stands for it is the machine's.
func unlessEmpty(row valueRow) valueRow {
	row.skipEmpty = true
	return row
}

func (r valueRow) both(d *dumped, v map[string]any) (theirs, ours string, compared bool) {
	theirs, compared = r.theirs(d, r.label)
	if !compared {
		return "", "", false
	}
	value, ok := any(v), true
	for name := range strings.SplitSeq(r.member, ".") {
		var m map[string]any
		if m, ok = value.(map[string]any); !ok {
			break
		}
		value = m[name]
	}
	ours = r.ours(value)
	return theirs, ours, !r.skipEmpty || ours != ""
}

// plainText is a value as JSON has it.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// dumpedValue is keepalived's value where the dump has one.
func dumpedValue(d *dumped, label string) (string, bool) {
	v, ok := d.values[label]
	return v, ok
}

func number(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		v, ok := d.values[label]
		v, _, _ = strings.Cut(v, " ")
		f, err := strconv.ParseFloat(strings.TrimSuffix(v, "s"), 64)
		return plainText(f), ok && err == nil && f != 4294967295
	}, ours: plainText}
}

func word(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: dumpedValue, ours: plainText}
}

// yes is a flag by the text that means yes.
func yes(label, member, on string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		v, ok := d.values[label]
		return strconv.FormatBool(v == on), ok
	}, ours: plainText}
}

// bare is a flag by a line that is there or not.
func bare(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		_, ok := d.values[label]
		return strconv.FormatBool(ok), true
	}, ours: plainText}
}

// absent is a value whose line is missing where it is nothing.
func absent(row valueRow, nothing string) valueRow {
	read := row.theirs
	row.theirs = func(d *dumped, label string) (string, bool) {
		if _, ok := d.values[label]; !ok {
			return nothing, true
		}
		return read(d, label)
	}
	return row
}

// listed is a list, in any order: keepalived's is turned into weir's by line.
func listed(label, member string, theirs func(line string) string, ours func(v map[string]any) string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		var all []string
		for _, line := range d.lists[label] {
			all = append(all, theirs(line))
		}
		sort.Strings(all)
		return strings.Join(all, "; "), true
	}, ours: func(v any) string {
		var all []string
		list, _ := v.([]any)
		for _, one := range list {
			if m, ok := one.(map[string]any); ok {
				all = append(all, ours(m))
			} else {
				all = append(all, plainText(one))
			}
		}
		sort.Strings(all)
		return strings.Join(all, "; ")
	}}
}

// vipLine is "192.0.2.1/24 dev eth0@eth1 scope global label x" as the address, its device
// and label.
func vipLine(line string) string {
	words := strings.Fields(line)
	text := strings.TrimSuffix(strings.TrimSuffix(words[0], "/32"), "/128")
	for i := 1; i+1 < len(words); i++ {
		if words[i] == "dev" || words[i] == "label" {
			name := words[i+1]
			if _, base, ok := strings.Cut(name, "@"); ok {
				name = base
			}
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
	rows           []valueRow
}{
	{"vrrp_instance", "VRRP Instance", instanceRows},
	{"vrrp_script", "VRRP Script", scriptRows},
}

// instanceRows are the values of vrrp_instance.
var instanceRows = []valueRow{
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
}

// scriptRows are the values of vrrp_script.
var scriptRows = []valueRow{
	number("Interval", "interval"),
	number("Weight", "weight"),
	number("Rise", "rise"),
	number("Fall", "fall"),
}
