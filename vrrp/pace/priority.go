package pace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lowest is the real-time priority of the thread unless SetPriority says otherwise: above
// everything that has none, which is enough.
const lowest = 1

// setPriority sets a thread's real-time priority (SCHED_FIFO), 1 to 99.
func setPriority(tid, priority int) error {
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(priority)}
	if err := unix.SchedSetAttr(tid, attr, 0); err != nil {
		return fmt.Errorf("real-time priority %d: %w", priority, err)
	}
	return nil
}

// SetPriority sets the real-time priority of the thread that sends, 1 to 99; 0 is the lowest. A
// thread that does not run yet begins with it. Where the machine does not allow it, the thread
// has no real-time priority, and the first place among those without.
func SetPriority(priority int) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.priority = priority
	if shared.thread.tid > 0 {
		raise(shared.thread.tid)
	}
}

// raise has the thread run before others, as far as the machine allows it. shared.mu is held.
func raise(tid int) {
	if setPriority(tid, max(lowest, shared.priority)) != nil {
		const first = -20
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, first)
	}
}
