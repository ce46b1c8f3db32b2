package values

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// present leaves a value out that the dump does not have.
func present(label, member string, theirs func(string) string, ours func(any) string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		v, ok := d.values[label]
		if !ok {
			return "", false
		}
		return theirs(v), true
	}, ours: ours}
}

// seconds are microseconds of the dump.
func seconds(label, member string) valueRow {
	return present(label, member, func(v string) string {
		n, _ := strconv.ParseFloat(strings.TrimSuffix(v, " us"), 64)
		return plainText(n / 1e6)
	}, plainText)
}

// command is a script with its arguments; the guest's /bin is /usr/bin.
func command(label, member string) valueRow {
	return present(label, member, func(v string) string {
		v, _, _ = strings.Cut(v, ", uid:gid")
		var words []string
		for word := range strings.SplitSeq(v, "' '") {
			words = append(words, strings.Trim(word, "'"))
		}
		return strings.Join(words, " ")
	}, func(v any) string {
		text := strings.Join(strings.Fields(plainText(v)), " ")
		if strings.HasPrefix(text, "/bin/") {
			text = "/usr" + text
		}
		return strings.NewReplacer(`"`, "", "'", "").Replace(text)
	})
}

// forwarding is a forward method, with what a tunnel is.
func forwarding(label, method, tunnel string) valueRow {
	row := present(label, "", func(v string) string { return strings.TrimPrefix(v, "TUN, type = ") }, nil)
	row.member = "."
	row.ours = func(v any) string {
		m := v.(map[string]any)
		way := plainText(m[method])
		if way != "TUN" {
			return way
		}
		t := m[tunnel].(map[string]any)
		kind := strings.ToUpper(plainText(t["type"]))
		sum := map[string]string{"": ", no checksum", "nocsum": ", no checksum", "csum": ", checksum", "remcsum": ", remote checksum"}[plainText(t["checksum"])]
		switch kind {
		case "GUE":
			return fmt.Sprintf("GUE, port = %v%s", t["port"], sum)
		case "GRE":
			return kind + sum
		}
		return "IPIP"
	}
	return row
}

// serverRows are the values of virtual_server.
var serverRows = []valueRow{
	word("VirtualHost", "virtualhost"),
	present("SNMP name", "snmp_name", unquoted, plainText),
	word("lvs_sched", "lb_algo"),
	yes("sh-port", "sh-port", "enabled"),
	yes("sh-fallback", "sh-fallback", "enabled"),
	yes("mh-port", "sh-port", "enabled"),
	yes("mh-fallback", "sh-fallback", "enabled"),
	yes("flag-1", "sh-fallback", "enabled"),
	yes("flag-2", "sh-port", "enabled"),
	yes("flag-3", "flag-3", "enabled"),
	yes("One packet scheduling", "ops", "enabled"),
	absent(number("persistence timeout", "persistence_timeout"), "0"),
	unlessEmpty(word("persistence granularity", "persistence_granularity")),
	present("protocol", "protocol", strings.ToUpper, protocolName).unless("NONE"), // of a mark
	yes("omega", "omega", "ON"),
	yes("Inhibit on failure", "inhibit_on_failure", "ON"),
	number("quorum", "quorum"),
	number("hysteresis", "hysteresis"),
	command("Quorum up notify script", "quorum_up.command"),
	command("Quorum down notify script", "quorum_down.command"),
	bare("Using HA suspend", "ha_suspend"),
	yes("Using smtp notification", "smtp_alert", "yes"),
	forwarding("default forwarding method", "lb_kind", "tunnel"),
}

var sorryRows = []valueRow{
	word("sorry server", "sorry_server"),
	forwarding("forwarding method", "sorry_server_lvs_method", "sorry_server_tunnel"),
	yes("Inhibit on failure", "sorry_server_inhibit", "ON"),
}

// realRows are the values of real_server.
var realRows = []valueRow{
	word("RIP", "address"),
	number("RPORT", "port"),
	number("WEIGHT", "weight"),
	forwarding("forwarding method", "lvs_method", "tunnel"),
	present("connection limit range", "lthreshold", func(v string) string { low, _, _ := strings.Cut(v, " -> "); return low }, plainText),
	present("connection limit range", "uthreshold", func(v string) string { _, high, _ := strings.Cut(v, " -> "); return high }, plainText),
	yes("Inhibit on failure", "inhibit_on_failure", "ON"),
	command("RS up notify script", "notify_up.command"),
	command("RS down notify script", "notify_down.command"),
	present("VirtualHost", "virtualhost", unquoted, plainText),
	word("SNMP name", "snmp_name"),
	yes("Using smtp notification", "smtp_alert", "yes"),
	{label: trackedBFDs, member: "checks", theirs: func(d *dumped, label string) (string, bool) {
		return strings.Join(sorted(d.lists[label]), ", "), true
	}, ours: sessions},
}

// sessions are the BFD sessions among the checks of a real server.
func sessions(v any) string {
	var names []string
	for _, check := range objects(v) {
		if bfd, ok := check["bfd"].(map[string]any); ok {
			names = append(names, plainText(bfd["name"]))
		}
	}
	return strings.Join(sorted(names), ", ")
}

// checkRows are the values of all kinds of checks.
var checkRows = []valueRow{
	word("Keepalive method", "check"),
	yes("Alpha", "alpha", "yes"),
	seconds("Delay loop", "delay_loop").unless(unset),
	seconds("Warmup", "warmup").unless(unset),
	number("Retries", "retry"),
	seconds("Delay before retry", "delay_before_retry").unless(unset),
	yes("Log all failures", "log_all_failures", "yes"),
	present("Dest", "connect", plainAddress, plainText),
	present("Bind to", ".", plainAddress, func(v any) string {
		m := v.(map[string]any)
		return hostPort(plainText(m["bindto"]), plainText(m["bind_port"]))
	}),
	word("Bind i/f", "bind_if"),
	number("Mark", "fwmark"),
	number("Timeout", "connect_timeout"),
	word("http protocol", "http.http_protocol"),
	word("Virtualhost", "http.virtualhost"),
	yes("Enable SNI", "http.enable_sni", "set"),
	yes("Fast recovery", "http.fast_recovery", "set"),
	word("helo", "smtp.helo_name"),
	command("script", "misc.misc_path.command"),
	present("timeout", "misc.misc_timeout", func(v string) string { return v }, plainText).unless("0"), // of delay_loop
	yes("dynamic", "misc.misc_dynamic", "YES"),
	word("Type", "dns.type"),
	present("Name", "dns.name", func(v string) string { return strings.TrimSuffix(strings.ToLower(v), ".") }, func(v any) string { return strings.TrimSuffix(strings.ToLower(plainText(v)), ".") }),
	present("Payload len", "udp.payload", func(v string) string { return v }, octets),
	yes("Require reply", "udp.require_reply", "yes"),
	number("Min reply length", "udp.min_reply_length"),
	number("Max reply length", "udp.max_reply_length"),
	present("Reply data len", "udp.reply", func(v string) string { return v }, octets),
	word("Tracked file", "file.track_file"),
}

// unset is a time that keepalived leaves to a default that it does not show.
const unset = "18446744073709.55"

func unquoted(v string) string { return strings.Trim(v, "'") }

// protocolName is TCP, UDP or SCTP, which weir knows by its number.
func protocolName(v any) string {
	return strings.Replace(plainText(v), "protocol 132", "SCTP", 1)
}

// codes are ranges of status codes, those that adjoin each other joined.
func codes(v any) string {
	type span struct{ first, last float64 }
	var spans []span
	for _, c := range objects(v) {
		spans = append(spans, span{c["first"].(float64), c["last"].(float64)})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.first - b.first) })
	var all []string
	for i := 0; i < len(spans); {
		one := spans[i]
		for i++; i < len(spans) && spans[i].first <= one.last+1; i++ {
			one.last = max(one.last, spans[i].last)
		}
		text := plainText(one.first)
		if one.last > one.first {
			text += "-" + plainText(one.last)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// octets counts those of a text in hexadecimal.
func octets(v any) string { return fmt.Sprint(len(strings.ReplaceAll(plainText(v), " ", "")) / 2) }

// urlRows are the values of a url of HTTP_GET and SSL_GET.
var urlRows = []valueRow{
	word("path", "path"),
	word("digest", "digest"),
	present("Virtual host", "virtualhost", func(v string) string { return v }, plainText),
	present("Regex", "regex", func(v string) string { return strings.TrimSuffix(strings.TrimPrefix(v, `"`), `"`) }, plainText),
	{label: "Regex no match", member: "regex_no_match", theirs: func(d *dumped, label string) (string, bool) {
		_, no := d.values[label]
		_, any := d.values["Regex"]
		return strconv.FormatBool(no), any
	}, ours: plainText},
	{label: "codes", member: "status_code", theirs: func(d *dumped, label string) (string, bool) {
		return strings.Join(d.lists[label], "; "), true
	}, ours: codes},
}

// sslRows are the values of SSL.
var sslRows = []valueRow{
	word("Password", "password"),
	word("CA-file", "ca"),
	word("Certificate file", "certificate"),
	word("Key file", "key"),
}
