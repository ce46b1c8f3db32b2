package main

import (
	"errors"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// fewestThreads is how many threads weir has on a few processors, with room for the programs
// that it starts. Go's runtime ends a process that cannot have one more, wherever it is.
const fewestThreads = 28

// threadsAllowed is how many processes and threads the control groups allow in which this
// process is; MaxUint64 where none bounds them. Root is the machine's file system. A file that
// is missing, as in a container without /sys, bounds nothing.
func threadsAllowed(root fs.FS) (uint64, error) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxUint64, nil
	}
	if err != nil {
		return 0, err
	}
	least := uint64(math.MaxUint64)
	for line := range strings.Lines(string(text)) {
		// A number, the controllers, and the path, which may have colons.
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(field) < 3 {
			continue
		}
		mount := "sys/fs/cgroup"
		switch field[1] {
		case "": // the second version has no controllers here
		case "pids":
			mount += "/pids"
		default:
			continue
		}
		// Each group is within its parent's limit.
		for group := path.Join("/", field[2]); ; group = path.Dir(group) {
			text, err := fs.ReadFile(root, path.Join(mount, group, "pids.max"))
			if n, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil {
				least = min(least, n) // otherwise it is "max"
			}
			if group == "/" {
				break
			}
		}
	}
	return least, nil
}
