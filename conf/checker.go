package conf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"weir/conf/text"
)

// CheckKind is the keyword of a check.
type CheckKind string

// The kinds of checks.
const (
	CheckTCP  CheckKind = "TCP_CHECK"
	CheckHTTP CheckKind = "HTTP_GET"
	CheckSSL  CheckKind = "SSL_GET"
	CheckSMTP CheckKind = "SMTP_CHECK"
	CheckDNS  CheckKind = "DNS_CHECK"
	CheckMisc CheckKind = "MISC_CHECK"
	CheckPing CheckKind = "PING_CHECK"
	CheckUDP  CheckKind = "UDP_CHECK"
	CheckBFD  CheckKind = "BFD_CHECK"
	CheckFile CheckKind = "FILE_CHECK"

	// CheckViaVIP and CheckAgent are those of the weir block, which real servers have beside
	// their own.
	CheckViaVIP CheckKind = "check_via_vip"
	CheckAgent  CheckKind = "agent_check"
)

// Check is a check of a real server with what it inherits.
type Check struct {
	given
	Kind CheckKind `json:"check"`
	// Connect is where the check connects to, and Bind the address it comes
	// from; the zero Addr leaves that to the kernel.
	Connect  netip.AddrPort `json:"connect"`
	Bind     netip.Addr     `json:"bindto"`
	BindPort uint16         `json:"bind_port"`
	BindIf   string         `json:"bind_if"`
	Mark     uint32         `json:"fwmark"`
	Timers
	LogAllFailures bool `json:"log_all_failures"`
	// What the kinds have of their own; nil for the others.
	HTTP *HTTPCheck `json:"http,omitempty"`
	SMTP *SMTPCheck `json:"smtp,omitempty"`
	DNS  *DNSCheck  `json:"dns,omitempty"`
	Misc *MiscCheck `json:"misc,omitempty"`
	UDP  *UDPCheck  `json:"udp,omitempty"`
	BFD  *BFDCheck  `json:"bfd,omitempty"`
	File *FileCheck `json:"file,omitempty"`
	Via  *ViaVIP    `json:"-"`
	// Agent is what is asked of the agent of agent_check.
	Agent *AgentQuestion `json:"-"`
}

// Bare is the check without the places of its keywords, which hold on to the whole text.
func (c Check) Bare() Check {
	c.given = given{}
	return c
}

// rawCheck is a check as it is written.
type rawCheck struct {
	Check
	head     *text.Statement
	ip       netip.Addr
	port     uint16
	mentions func(names ...string) bool
}

// checkTimers are the defaults of a check.
func checkTimers(kind CheckKind) Timers {
	t := Timers{DelayLoop: 60 * time.Second, Retry: 1, DelayBeforeRetry: time.Second, ConnectTimeout: 5 * time.Second}
	switch kind {
	case CheckHTTP, CheckSSL:
		t.DelayBeforeRetry = 3 * time.Second
	case CheckDNS:
		t.Retry = 3
	case CheckMisc:
		t.Retry = 0
	}
	return t
}

// checkBlocks are the keywords of all checks.
func checkBlocks() []*entry {
	return []*entry{
		tcpCheck(),
		httpCheck(CheckHTTP, "pages are as expected"),
		httpCheck(CheckSSL, "pages are as expected, over TLS"),
		smtpCheck(),
		dnsCheck(),
		miscCheck(),
		checkSection(CheckPing, "an ICMP echo comes back", targetEntries()),
		udpCheck(),
		fileCheck(),
		bfdCheck(),
	}
}

// tcpCheck is the keyword of the check that needs nothing of its own.
func tcpCheck() *entry {
	retry := &entry{name: "nb_get_retry", slot: "retry", read: readOldRetry, help: "obsolete: see retry"}
	return checkSection(CheckTCP, "a TCP connection comes about", targetEntries(), retry)
}

// checkSection is the keyword of one kind of check, with the keywords that it shares
// with others, and its own.
func checkSection(kind CheckKind, help string, common []*entry, own ...*entry) *entry {
	return ownSection(kind, help, nil, common, own...)
}

// ownSection is checkSection for a kind whose check begins with something of its own.
func ownSection(kind CheckKind, help string, begin func(*rawCheck), common []*entry, own ...*entry) *entry {
	done := func(_ *reader, b *text.Block, into any) { into.(*rawCheck).mentions = mentionsOf(b) }
	spec := &blockSpec{name: string(kind), done: done, entries: anew(append(append([]*entry(nil), own...), common...)...)}
	return section(string(kind), spec, help, func(r *reader, st *text.Statement, parent *rawServer) *rawCheck {
		if len(st.Words) > 1 {
			r.extra(st, 1)
		}
		c := &rawCheck{head: st, mentions: func(...string) bool { return false }}
		c.Kind, c.Timers = kind, checkTimers(kind)
		if begin != nil {
			begin(c)
		}
		c.note("check", st.Place())
		parent.checks = append(parent.checks, c)
		return c
	})
}

// localEntries are the keywords of a check that connects to nothing.
func localEntries() []*entry {
	type C = rawCheck
	entries := timerEntries(0, func(c *C) *Timers { return &c.Timers })
	entries = slices.DeleteFunc(entries, func(e *entry) bool { return e.name == "connect_timeout" })
	return append(entries, onOff("log_all_failures", func(c *C) *bool { return &c.LogAllFailures }, "log each failed try", otherwise("checker_log_all_failures"), example("on", "off")))
}

// targetEntries are the keywords of a check that connects to the server.
func targetEntries() []*entry {
	type C = rawCheck
	entries := []*entry{
		value("connect_ip", address(), func(c *C) *netip.Addr { return &c.ip }, "the address that is checked", otherwise("the real server's")),
		value("connect_port", port(), func(c *C) *uint16 { return &c.port }, "the port that is checked", otherwise("the real server's")),
		value("bindto", address(), func(c *C) *netip.Addr { return &c.Bind }, "the address that the check comes from", otherwise("the kernel's choice")),
		value("bind_port", port(), func(c *C) *uint16 { return &c.BindPort }, "the port that the check comes from; the identifier of its echoes", otherwise("the kernel's choice"), example("1025", "1026")),
		value("bind_if", device(), func(c *C) *string { return &c.BindIf }, "the device that the check's packets leave by; a link-local address needs it", example("eth0", "eth1")),
		value("fwmark", number[uint32](0, math.MaxUint32), func(c *C) *uint32 { return &c.Mark }, "the mark of the check's packets", example("1", "2")),
	}
	return append(append(entries, connectTimeout(func(c *C) *Timers { return &c.Timers })), localEntries()...)
}

// readOldRetry takes the spelling that only HTTP_GET ever had.
func readOldRetry(r *reader, st *text.Statement, into any) {
	n, ok := one(r, st, number(0, math.MaxInt32))
	if !ok {
		return
	}
	c := into.(*rawCheck)
	r.warnAt(st.Place(), "obsolete", fmt.Sprintf("nb_get_retry in %s is read as retry", c.Kind), fmt.Sprintf(`write "retry %d"`, n))
	c.Retry = n
	c.note("retry", st.Words[1].Place)
}

// resolve fills in what a check inherits: it connects to the server itself.
func (c *rawCheck) resolve(r *reader, server *rawServer, port uint16) {
	c.Timers.inherit(c, server, server.timers)
	from(c, c, "warmup", "delay_loop", &c.Warmup, c.DelayLoop)
	if c.Kind == CheckDNS {
		from(c, c, "delay_before_retry", "delay_loop", &c.DelayBeforeRetry, c.DelayLoop)
	}
	switch c.Kind {
	case CheckMisc, CheckBFD, CheckFile:
		c.resolveLocal(r)
		return
	}
	if !c.Has("connect_ip") {
		c.ip = server.Addr
	}
	if !c.Has("connect_port") {
		c.port = port
	}
	if c.port == 0 && c.Kind != CheckPing && !c.mentions("connect_port") {
		r.errorAt(c.head.Place(), string(c.Kind)+" has no port to connect to", "expected connect_port, or a port behind real_server")
	}
	if c.Bind.IsValid() && c.Has("bindto") && c.Bind.Is4() != c.ip.Is4() {
		r.errorAt(c.PlaceOf("bindto"), fmt.Sprintf("bindto %s is of another family than %s, which is checked", c.Bind, c.ip), "expected an address of the same family")
	}
	if c.ip.Is6() && c.ip.IsLinkLocalUnicast() && !c.mentions("bind_if") {
		r.errorAt(c.head.Place(), fmt.Sprintf("%s of the link-local address %s has no device", c.Kind, c.ip), "expected bind_if DEVICE")
	}
	if c.UDP != nil && c.UDP.MinLength > c.UDP.MaxLength {
		at := c.head.Place()
		if c.Has("min_reply_length") {
			at = c.PlaceOf("min_reply_length")
		}
		r.errorAt(at, fmt.Sprintf("no answer is at least %d and at most %d bytes long", c.UDP.MinLength, c.UDP.MaxLength), "expected min_reply_length up to max_reply_length")
	}
	c.Connect = netip.AddrPortFrom(c.ip, c.port)
	from(c, c, "connect", "connect_ip", &c.ip, c.ip)
	from(c, c, "connect", "connect_port", &c.port, c.port)
	if c.HTTP != nil {
		c.resolveHTTP(r, server)
	}
}

func (c *rawCheck) resolveLocal(r *reader) {
	switch {
	case c.Kind == CheckMisc:
		if c.Misc.Path.Command == "" && !c.mentions("misc_path") {
			r.errorAt(c.head.Place(), "MISC_CHECK has no misc_path", `expected misc_path "PATH [ARGUMENT...]"`)
		}
		if !c.Has("misc_timeout") {
			c.Misc.Timeout = c.DelayLoop
		}
	case c.Kind == CheckBFD && !c.mentions("name"):
		r.errorAt(c.head.Place(), "BFD_CHECK has no name", "expected name BFD, that of a bfd_instance")
	case c.Kind == CheckFile && !c.mentions("track_file"):
		r.errorAt(c.head.Place(), "FILE_CHECK has no track_file", "expected track_file NAME, that of a track_file")
	}
}
