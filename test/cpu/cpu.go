// Package cpu tells how much of a CPU processes take, and starts some that take nothing else.
package cpu

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Of is how long the threads of a process have run on a CPU.
func Of(t testing.TB, pid int) (all time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("the threads of process %d: %v", pid, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(content), &ns); err != nil {
			t.Fatal(err)
		}
		all += time.Duration(ns)
	}
	return all
}

// WithChildren is Of for a process and those that it has started.
func WithChildren(t testing.TB, pid int) time.Duration {
	t.Helper()
	all := Of(t, pid)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err != nil {
				t.Fatal(err)
			}
			all += WithChildren(t, child)
		}
	}
	return all
}

// hogsFor is after how long hogs end by themselves, where the test's process was killed.
const hogsFor = time.Hour

// Hogs starts so many programs that only use a CPU, until the end of the test.
func Hogs(t testing.TB, n int) {
	t.Helper()
	for range n {
		hog := exec.Command("timeout", fmt.Sprint(int(hogsFor.Seconds())), "sh", "-c", "while :; do :; done")
		if err := hog.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = hog.Process.Signal(syscall.SIGTERM) // which timeout hands on
			_ = hog.Wait()
		})
	}
}
