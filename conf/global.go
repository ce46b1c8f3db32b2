package conf

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"weir/conf/text"
)

// Global is global_defs.
type Global struct {
	given
	Mail
	LVSDefaults
	VRRPDefaults
	Processes
	Files
	Channels
}

// globalBlock is the table of global_defs.
func globalBlock() *blockSpec {
	var entries []*entry
	for _, part := range [][]*entry{
		mailEntries(), lvsDefaults(), vrrpDefaults(), vrrpFirewall(), processEntries(), fileEntries(), channelEntries(),
	} {
		entries = append(entries, part...)
	}
	return &blockSpec{name: "global_defs", entries: entries}
}

// derive fills in the defaults that are other keywords' values.
func (g *Global) derive() {
	if g.MinGARP {
		g.minGARP()
	}
	from(g, g, "vrrp_garp_lower_prio_delay", "vrrp_garp_master_delay", &g.GARPLowerDelay, g.GARPDelay)
	from(g, g, "vrrp_garp_lower_prio_repeat", "vrrp_garp_master_repeat", &g.GARPLowerRepeat, g.GARPRepeat)
	from(g, g, "snmp_rs_stats_update_interval", "snmp_vs_stats_update_interval", &g.SNMPRSInterval, g.SNMPVSInterval)
	from(g, g, "vmac_addr_prefix", "vmac_prefix", &g.VMACAddrPrefix, g.VMACPrefix)
	from(g, g, "smtp_alert_vrrp", "smtp_alert", &g.SMTPAlertVRRP, g.SMTPAlert)
	from(g, g, "smtp_alert_checker", "smtp_alert", &g.SMTPAlertChecker, g.SMTPAlert)
}

// minGARP is vrrp_min_garp: one announcement, unless the file says otherwise.
func (g *Global) minGARP() {
	if !g.Has("vrrp_garp_master_repeat") {
		g.GARPRepeat = 1
	}
	if !g.Has("vrrp_garp_master_delay") {
		g.GARPDelay = 0
	}
}

// Mail is what stands in global_defs about identity and mails.
type Mail struct {
	// RouterID names this director in mails; empty is the local host name.
	RouterID           string        `json:"router_id"`
	NotificationEmail  []string      `json:"notification_email"`
	EmailFrom          string        `json:"notification_email_from"`
	SMTPServer         HostPort      `json:"smtp_server"`
	SMTPConnectTimeout time.Duration `json:"smtp_connect_timeout"`
	SMTPHelo           string        `json:"smtp_helo_name"`
	SMTPAlert          bool          `json:"smtp_alert"`
	SMTPAlertVRRP      bool          `json:"smtp_alert_vrrp"`
	SMTPAlertChecker   bool          `json:"smtp_alert_checker"`
	NoEmailFaults      bool          `json:"no_email_faults"`
	NoCheckerEmails    bool          `json:"no_checker_emails"`
	LogAllFailures     bool          `json:"checker_log_all_failures"`
}

// HostPort is a host by name or address, and a port.
type HostPort struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

func mailEntries() []*entry {
	type G = Global
	list := section("notification_email", mailBlock(), "who gets the mails", plain(func(g *G) *G { return g }))
	id := value("router_id", nonEmpty("a name"), func(g *G) *string { return &g.RouterID }, "the name of this director in mails", otherwise("the host's name"))
	loud := onOff("checker_log_all_failures", func(g *G) *bool { return &g.LogAllFailures }, "log each failed try of a check", example("on", "off"))
	return []*entry{
		id, obsolete("lvs_id", id), loud,
		list,
		value("notification_email_from", nonEmpty("a mail address"), func(g *G) *string { return &g.EmailFrom }, "the sender of the mails", otherwise("keepalived@ the host's name")),
		custom("smtp_server", "HOST [PORT]", "the mail relay", readMailServer, otherwise("no mail")),
		custom("smtp_connect_timeout", "whole seconds", "how long a connection to the relay may take", readMailTimeout,
			begins(func(g *G) *time.Duration { return &g.SMTPConnectTimeout }, 30*time.Second)),
		value("smtp_helo_name", nonEmpty("a host name"), func(g *G) *string { return &g.SMTPHelo }, "the name in HELO", otherwise("the host's name")),
		onOff("smtp_alert", func(g *G) *bool { return &g.SMTPAlert }, "whether there are mails at all, where a block does not say", otherwise("for real servers only")),
		onOff("smtp_alert_vrrp", func(g *G) *bool { return &g.SMTPAlertVRRP }, "the same for VRRP instances and groups", otherwise("smtp_alert")),
		onOff("smtp_alert_checker", func(g *G) *bool { return &g.SMTPAlertChecker }, "the same for virtual and real servers", otherwise("smtp_alert")),
		present("no_email_faults", func(g *G) *bool { return &g.NoEmailFaults }, "no mail on the state FAULT"),
		onOff("no_checker_emails", func(g *G) *bool { return &g.NoCheckerEmails }, "mails only where a real server comes or goes, not for each of its checks"),
	}
}

// mailBlock is the list of notification_email: addresses, also several on a
// line.
func mailBlock() *blockSpec {
	const expects = "a mail address"
	return list("notification_email", expects, func(r *reader, st *text.Statement, g *Global) {
		for i := range st.Words {
			if address, ok := word(r, st, i, nonEmpty(expects)); ok {
				g.NotificationEmail = append(g.NotificationEmail, address)
			}
		}
		g.note("notification_email", st.Place())
	})
}

func readMailServer(r *reader, st *text.Statement, g *Global) (ok bool) {
	if len(st.Words) > 3 {
		r.extra(st, 3)
		return false
	}
	if g.SMTPServer.Host, ok = after(r, st, 0, host()); ok && len(st.Words) > 2 {
		g.SMTPServer.Port, ok = word(r, st, 2, port())
	} else {
		g.SMTPServer.Port = 25
	}
	return ok
}

// readMailTimeout takes 0 as keepalived does: a second.
func readMailTimeout(r *reader, st *text.Statement, g *Global) bool {
	d, ok := one(r, st, wholeSeconds(0, maxMicroWhole))
	if ok && d == 0 {
		d = time.Second
		r.warnAt(st.Words[1].Place, "raised", "smtp_connect_timeout 0 is read as 1", "write the seconds you mean")
	}
	if ok {
		g.SMTPConnectTimeout = d
	}
	return ok
}

// host is a name or an address, without a port.
func host() kind[string] {
	return kind[string]{"a host", func(word string) (string, *complaint) {
		name, port, behind := strings.Cut(word, ":")
		if behind && isDigits(port) {
			return "", &complaint{what: text.Quote(word) + " is not a host", hint: fmt.Sprintf("write the port apart: %s %s", name, port)}
		}
		if ap, err := netip.ParseAddrPort(word); err == nil {
			return "", &complaint{what: text.Quote(word) + " is not a host", hint: fmt.Sprintf("write the port apart: %s %d", ap.Addr(), ap.Port())}
		}
		if word == "" || strings.ContainsAny(word, "/@ ") || strings.Contains(word, ":") && !isAddress(word) {
			return "", complain("%s is not a host", text.Quote(word))
		}
		return word, nil
	}}
}

func isAddress(word string) bool {
	_, err := netip.ParseAddr(word)
	return err == nil
}
