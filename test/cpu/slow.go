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
// that goes with the test.
func Slow(t testing.TB, cmd *exec.Cmd, percent int) {
	t.Helper()
	const period = 100_000 // microseconds
	name := fmt.Sprintf("weir-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	group, limits := filepath.Join("/sys/fs/cgroup/cpu", name), map[string]int{"cpu.cfs_period_us": period, "cpu.cfs_quota_us": period * percent / 100}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		group, limits = filepath.Join("/sys/fs/cgroup", name), nil
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
	for file, value := range limits {
		if err := os.WriteFile(filepath.Join(group, file), fmt.Append(nil, value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if limits == nil {
		if err := os.WriteFile(filepath.Join(group, "cpu.max"), fmt.Appendf(nil, "%d %d", period*percent/100, period), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Args = append([]string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}
