package conf

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// rawTimers are the settings that a virtual_server hands on to its real
// servers, and these to their checkers.
type rawTimers struct {
	delayLoop        field[time.Duration]
	retry            field[int]
	delayBeforeRetry field[time.Duration]
	connectTimeout   field[time.Duration]
	warmup           field[time.Duration]
	alpha            field[bool]
}

// or fills what is unset from an enclosing block.
func (t rawTimers) or(outer rawTimers) rawTimers {
	return rawTimers{
		delayLoop:        t.delayLoop.or(outer.delayLoop),
		retry:            t.retry.or(outer.retry),
		delayBeforeRetry: t.delayBeforeRetry.or(outer.delayBeforeRetry),
		connectTimeout:   t.connectTimeout.or(outer.connectTimeout),
		warmup:           t.warmup.or(outer.warmup),
		alpha:            t.alpha.or(outer.alpha),
	}
}

// timerEntries are the keywords of rawTimers, which stand at three levels.
func timerEntries[T any](leastRetry int, at func(*T) *rawTimers) []*entry {
	const tick = time.Microsecond
	return []*entry{
		setting("delay_loop", seconds(tick, maxSeconds), func(t *T) *field[time.Duration] { return &at(t).delayLoop }),
		setting("retry", number(leastRetry, math.MaxInt32), func(t *T) *field[int] { return &at(t).retry }),
		setting("delay_before_retry", seconds(0, maxSeconds), func(t *T) *field[time.Duration] { return &at(t).delayBeforeRetry }),
		setting("connect_timeout", seconds(tick, maxSeconds), func(t *T) *field[time.Duration] { return &at(t).connectTimeout }),
		setting("warmup", seconds(0, maxSeconds), func(t *T) *field[time.Duration] { return &at(t).warmup }),
	}
}

func alphaEntry[T any](at func(*T) *rawTimers) *entry {
	return toggle("alpha", func(t *T) *field[bool] { return &at(t).alpha })
}

// rawCheck is a TCP_CHECK as it is written.
type rawCheck struct {
	ip     field[netip.Addr]
	port   field[uint16]
	bind   field[netip.Addr]
	timers rawTimers
}

// tcpCheckBlock is the table of TCP_CHECK.
func tcpCheckBlock() *blockSpec {
	type C = rawCheck
	timers := func(c *C) *rawTimers { return &c.timers }
	entries := []*entry{
		setting("connect_ip", address(), func(c *C) *field[netip.Addr] { return &c.ip }),
		setting("connect_port", port(), func(c *C) *field[uint16] { return &c.port }),
		setting("bindto", address(), func(c *C) *field[netip.Addr] { return &c.bind }),
		{name: "nb_get_retry", slot: "retry", read: readOldRetry},
	}
	entries = append(entries, timerEntries(0, timers)...)
	entries = append(entries, alphaEntry(timers))
	return &blockSpec{name: "TCP_CHECK", entries: append(entries, later("bind_port bind_if fwmark log_all_failures")...)}
}

func tcpCheckHead(r *reader, st *statement, parent *rawServer) *rawCheck {
	if len(st.words) > 1 {
		r.extra(st, 1)
	}
	c := &rawCheck{}
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
	into.(*rawCheck).timers.retry = field[int]{v: n, at: st.words[1].place, set: true}
}
