package check

import (
	"fmt"
	"time"
)

// firstDelay is the least time between a Runner's start and its first check.
const firstDelay = time.Second

// Timing is when a Runner asks its checker, and how often a server has to fail before
// it is down. The fields are keepalived's keywords of the same names.
type Timing struct {
	// DelayLoop passes between the end of one check and the start of the next.
	DelayLoop time.Duration
	// Retry is how many more tries a server that was up has before it is down, and
	// DelayBeforeRetry passes between two of them.
	Retry            int
	DelayBeforeRetry time.Duration
	// Warmup spreads the first checks of many servers: each waits for a random part
	// of it.
	Warmup time.Duration
	// Alpha assumes that the server is down until it passes a check.
	Alpha bool
}

// DefaultTiming is what most checkers have in keepalived where only the delay_loop is
// given.
func DefaultTiming(delayLoop time.Duration) Timing {
	return Timing{DelayLoop: delayLoop, Retry: 1, DelayBeforeRetry: time.Second, Warmup: delayLoop}
}

// Validate refuses times with which a Runner would check without a pause or never; the
// error names the keyword.
func (t Timing) Validate() error {
	switch {
	case t.DelayLoop <= 0:
		return fmt.Errorf("delay_loop %s: expected more than 0", t.DelayLoop)
	case t.Retry < 0:
		return fmt.Errorf("retry %d: expected 0 or more", t.Retry)
	case t.DelayBeforeRetry < 0:
		return fmt.Errorf("delay_before_retry %s: expected 0 or more", t.DelayBeforeRetry)
	case t.Warmup < 0:
		return fmt.Errorf("warmup %s: expected 0 or more", t.Warmup)
	}
	return nil
}
