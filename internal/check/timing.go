package check

import (
	"fmt"
	"time"
)

// firstDelay passes between a Runner's start and its first check at least.
const firstDelay = time.Second

// Timing is when a checker runs and how much it takes to believe it.
type Timing struct {
	// DelayLoop lies between the end of one check and the start of the next.
	DelayLoop time.Duration
	// Retry is how many more tries a server that was up has before it counts
	// as down, and DelayBeforeRetry lies between two of them.
	Retry            int
	DelayBeforeRetry time.Duration
	// Warmup spreads the first checks: each waits a random part of it.
	Warmup time.Duration
	// Alpha assumes the server down until its first good check.
	Alpha bool
}

// DefaultTiming is what keepalived.conf means for most checkers when it names
// nothing but the delay_loop.
func DefaultTiming(delayLoop time.Duration) Timing {
	return Timing{DelayLoop: delayLoop, Retry: 1, DelayBeforeRetry: time.Second, Warmup: delayLoop}
}

// Validate refuses what would make a Runner spin or never run.
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
