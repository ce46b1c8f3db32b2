package cpu

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Slow has a program, that has not been started, get so many percent of a CPU, by a control group
// that goes with the test, until free is called.
func Slow(t testing.TB, cmd *exec.Cmd, percent int) (free func()) {
	t.Helper()
	const period = 100_000 // microseconds
	name := fmt.Sprintf("weir-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	group, limit := filepath.Join("/sys/fs/cgroup/cpu", name), "cpu.cfs_quota_us" // the period is the kernel's
	slow, full := fmt.Sprint(period*percent/100), "-1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		group, limit = filepath.Join("/sys/fs/cgroup", name), "cpu.max"
		slow, full = fmt.Sprintf("%s %d", slow, period), "max"
		if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+cpu"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the kernel takes a moment to let the last process go
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			err := os.Remove(group)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	set := func(value string) {
		if err := os.WriteFile(filepath.Join(group, limit), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set(slow)
	cmd.Args = append([]string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return func() { set(full) }
}
