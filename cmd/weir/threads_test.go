package main

import (
	"math"
	"testing"
	"testing/fstest"
)

// The smallest limit of the control groups counts, of either version.
func TestThreadsAllowed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"no /proc", nil, math.MaxUint64},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/pids.max": "max\n"}, math.MaxUint64},
		{"no /sys", map[string]string{"proc/self/cgroup": "0::/a\n"}, math.MaxUint64},
		{"its own", map[string]string{"proc/self/cgroup": "0::/a/b:c\n", "sys/fs/cgroup/a/b:c/pids.max": "8\n", "sys/fs/cgroup/a/pids.max": "max\n"}, 8},
		{"its parent's", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/pids.max": "80\n", "sys/fs/cgroup/a/pids.max": "9\n"}, 9},
		{"a container's", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/pids.max": "10\n"}, 10},
		{"out of the namespace", map[string]string{"proc/self/cgroup": "0::/../a\n", "sys/fs/cgroup/pids.max": "10\n"}, 10},
		{"the first version", map[string]string{"proc/self/cgroup": "9:cpu:/z\n8:pids:/a\n", "sys/fs/cgroup/pids/a/pids.max": "11\n", "sys/fs/cgroup/cpu/z/pids.max": "1\n"}, 11},
	} {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, err := threadsAllowed(root); err != nil || got != tt.want {
			t.Errorf("%s: %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}
