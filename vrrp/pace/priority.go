package pace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lowest is the real-time priority of the thread: above everything that has none, which is
// enough.
const lowest = 1

// setPriority sets a thread's real-time priority (SCHED_FIFO), 1 to 99.
func setPriority(tid, priority int) error {
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(priority)}
	if err := unix.SchedSetAttr(tid, attr, 0); err != nil {
		return fmt.Errorf("real-time priority %d: %w", priority, err)
	}
	return nil
}

// raise has the thread run before others, as far as the machine allows it.
func raise(tid int) {
	if setPriority(tid, lowest) != nil {
		const first = -20
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, first)
	}
}
