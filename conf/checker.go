package conf

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// TCPCheck is a TCP_CHECK with what it inherits.
type TCPCheck struct {
	given
	// Connect is where the check connects to, and Bind the address it comes
	// from; the zero Addr leaves that to the kernel.
	Connect netip.AddrPort `json:"connect"`
	Bind    netip.Addr     `json:"bindto"`
	Timers
}

// rawCheck is a TCP_CHECK as it is written.
type rawCheck struct {
	TCPCheck
	head     *statement
	ip       netip.Addr
	port     uint16
	mentions func(names ...string) bool
}

// checkTimers are the defaults of a check.
var checkTimers = Timers{DelayLoop: 60 * time.Second, Retry: 1, DelayBeforeRetry: time.Second, ConnectTimeout: 5 * time.Second}

// tcpCheckBlock is the table of TCP_CHECK.
func tcpCheckBlock() *blockSpec {
	type C = rawCheck
	entries := []*entry{
		value("connect_ip", address(), func(c *C) *netip.Addr { return &c.ip }, "the address that is checked", otherwise("the real server's")),
		value("connect_port", port(), func(c *C) *uint16 { return &c.port }, "the port that is checked", otherwise("the real server's")),
		value("bindto", address(), func(c *C) *netip.Addr { return &c.Bind }, "the address that the check comes from", otherwise("the kernel's choice")),
		{name: "nb_get_retry", slot: "retry", read: readOldRetry},
	}
	entries = append(entries, timerEntries(0, func(c *C) *Timers { return &c.Timers })...)
	done := func(_ *reader, b *block, into any) { into.(*C).mentions = b.has }
	return &blockSpec{name: "TCP_CHECK", done: done, entries: append(entries, later("bind_port bind_if fwmark log_all_failures")...)}
}

func tcpCheckHead(r *reader, st *statement, parent *rawServer) *rawCheck {
	if len(st.words) > 1 {
		r.extra(st, 1)
	}
	c := &rawCheck{TCPCheck: TCPCheck{Timers: checkTimers}, head: st, mentions: func(...string) bool { return false }}
	parent.checks = append(parent.checks, c)
	return c
}

// readOldRetry takes the spelling that only HTTP_GET ever had.
func readOldRetry(r *reader, st *statement, into any) {
	n, ok := one(r, st, number(0, math.MaxInt32))
	if !ok {
		return
	}
	r.warnAt(st.place(), "obsolete", "nb_get_retry in TCP_CHECK is read as retry", fmt.Sprintf(`write "retry %d"`, n))
	c := into.(*rawCheck)
	c.Retry = n
	c.note("retry", st.words[1].place)
}
