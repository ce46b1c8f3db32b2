package conf

import (
	"math"
	"time"
)

// Timers are the settings of a check. A virtual_server hands them on to its real
// servers, and these to their checks.
type Timers struct {
	// DelayLoop is the time from one check to the next.
	DelayLoop time.Duration `json:"delay_loop"`
	// Retry is how many more tries, DelayBeforeRetry apart, follow a failed
	// one before the server is down.
	Retry            int           `json:"retry"`
	DelayBeforeRetry time.Duration `json:"delay_before_retry"`
	ConnectTimeout   time.Duration `json:"connect_timeout"`
	// Warmup is the most that the first check is put off by chance, so that
	// not all come at once.
	Warmup time.Duration `json:"warmup"`
	// Alpha is a server that is down until its first check has passed.
	Alpha bool `json:"alpha"`
}

// inherit fills what a block does not say from the enclosing one.
func (t *Timers) inherit(own, outer inheritor, from Timers) {
	pass(own, outer, "delay_loop", &t.DelayLoop, from.DelayLoop)
	pass(own, outer, "retry", &t.Retry, from.Retry)
	pass(own, outer, "delay_before_retry", &t.DelayBeforeRetry, from.DelayBeforeRetry)
	pass(own, outer, "connect_timeout", &t.ConnectTimeout, from.ConnectTimeout)
	pass(own, outer, "warmup", &t.Warmup, from.Warmup)
	pass(own, outer, "alpha", &t.Alpha, from.Alpha)
}

// timerEntries are the keywords of Timers, which stand at three levels.
func timerEntries[T any](leastRetry int, at func(*T) *Timers) []*entry {
	const tick = time.Microsecond
	return []*entry{
		value("delay_loop", seconds(tick, maxTimer), func(t *T) *time.Duration { return &at(t).DelayLoop }, "the time from one check to the next"),
		value("retry", number(leastRetry, math.MaxInt32), func(t *T) *int { return &at(t).Retry }, "how many more tries follow a failed check before the server is down"),
		value("delay_before_retry", seconds(0, maxTimer), func(t *T) *time.Duration { return &at(t).DelayBeforeRetry }, "the time between these tries"),
		connectTimeout(at),
		value("warmup", seconds(0, maxTimer), func(t *T) *time.Duration { return &at(t).Warmup }, "the most that the first check is put off by chance", reloads(AtStart)),
		alphaEntry(at),
	}
}

func connectTimeout[T any](at func(*T) *Timers) *entry {
	return value("connect_timeout", seconds(time.Microsecond, maxMicro), func(t *T) *time.Duration { return &at(t).ConnectTimeout }, "how long a check waits for its connection and its answer")
}

func alphaEntry[T any](at func(*T) *Timers) *entry {
	return onOff("alpha", func(t *T) *bool { return &at(t).Alpha }, alphaHelp, reloads(AtStart))
}

const alphaHelp = "a server is down until its first check has passed"
