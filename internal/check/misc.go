package check

import (
	"context"
	"fmt"
	"time"

	"weir/conf"
	"weir/internal/script"
)

// Misc is MISC_CHECK: the server is up when a program says so, by exit code 0.
type Misc struct {
	Command script.Command
	// Line is the command as the configuration has it.
	Line string
	// Timeout is misc_timeout: how long a run may take.
	Timeout time.Duration
	// Dynamic takes exit codes from 2 to 255 for up, with the weight of the code less 2.
	Dynamic bool
	Shared  *Shared

	took time.Duration // the last run
}

func newMisc(c conf.Check, shared *Shared) Checker {
	m := &Misc{
		Command: script.CommandOf(c.Misc.Path.As(c.Misc.User)), Line: c.Misc.Path.Command, Timeout: c.Misc.Timeout,
		Dynamic: c.Misc.Dynamic, Shared: shared,
	}
	if m.Timeout == 0 {
		m.Timeout = c.DelayLoop
	}
	return m
}

func (c *Misc) String() string { return string(conf.CheckMisc) + " " + c.Line }

// Check runs the program once. With an exit code of 0 the weight stays as it is. A program
// that cannot be run says nothing about the server: that is an OwnError.
func (c *Misc) Check(ctx context.Context) (Weight, error) {
	begin := time.Now()
	defer func() { c.took = time.Since(begin) }()
	end, err := c.Command.Run(ctx, c.Shared.Scripts.Load(), c.Timeout)
	switch {
	case ctx.Err() != nil:
		return Weight{}, ctx.Err()
	case err != nil:
		return Weight{}, &OwnError{err, "mend the program of the check, its user, or the permissions of its path"}
	case end.Late:
		return Weight{}, fmt.Errorf("no end within %s", c.Timeout)
	case end.Signal != 0:
		return Weight{}, fmt.Errorf("ended by signal %d (%s)", end.Signal, end.Signal)
	case end.Code == 0:
		return Weight{}, nil
	case c.Dynamic && end.Code >= 2:
		return Weight{Absolute: true, N: end.Code - 2}, nil
	}
	return Weight{}, fmt.Errorf("exit code %d", end.Code)
}

// Pace has runs begin so far apart, however long they take.
func (c *Misc) Pace(_ bool, _ Timing, wait time.Duration) time.Duration {
	return max(wait-c.took, 0)
}
