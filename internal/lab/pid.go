package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// pidRef names a process beyond doubt: its pid, which the kernel gives out
// again, together with its start time, in clock ticks since boot.
type pidRef struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// startTime is field 22 of /proc/<pid>/stat (proc(5)). Fields are counted
// behind the command name, which may itself hold spaces and parentheses.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("read /proc/%d/stat: %d fields behind the name, want at least 20", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func refOf(pid int) (pidRef, error) {
	start, err := startTime(pid)
	return pidRef{Pid: pid, Start: start}, err
}

// alive says whether this very process still runs; a zombie does not.
func (p pidRef) alive() bool {
	start, err := startTime(p.Pid)
	return err == nil && start == p.Start && !zombie(p.Pid)
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	return bytes.HasPrefix(rest, []byte(" Z")) || bytes.HasPrefix(rest, []byte(" X"))
}

// kill sends SIGKILL to this very process and waits until it has ended. The
// pidfd is opened before the start time is compared, so that no other process
// that got the same pid can be hit.
func (p pidRef) kill(timeout time.Duration) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", p.Pid, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.Pid, err)
	}
	return waitPidfd(fd, p.Pid, timeout)
}

// waitPidfd waits until the process of a pidfd has ended; the descriptor
// becomes readable then.
func waitPidfd(fd, pid int, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("process %d did not end within %v of SIGKILL", pid, timeout)
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(left.Milliseconds())+1)
		if n == 1 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
}
