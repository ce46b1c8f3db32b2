package dataplane

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// spareRoom is how much memory is to be left when a table has been made.
const spareRoom = 32 << 20

// afford returns an error where so many bytes are more than what is left of the machine's memory,
// or of a limit of the process's control groups: the kernel would end some process, rather than
// say that it has none left.
func afford(wanted uint64) error {
	for _, r := range append(groupRooms(), machineRoom()) {
		if r.free < wanted+spareRoom {
			return fmt.Errorf("%s are needed, and %s of %s are free (%s)", mib(wanted+spareRoom), mib(r.free), mib(r.limit), r.of)
		}
	}
	return nil
}

// A room is a limit of memory, and what is free of it, in bytes.
type room struct {
	of          string
	limit, free uint64
}

// memoryLimit is the lowest limit of memory of the process's control groups, in bytes; 0
// where none is known.
func memoryLimit() (lowest uint64) {
	for _, r := range groupRooms() {
		if lowest == 0 || r.limit < lowest {
			lowest = r.limit
		}
	}
	return lowest
}

// The files of a control group about memory, in either version of control groups.
type memoryFiles struct{ root, limit, usage, inactive string }

var (
	memoryFiles1 = memoryFiles{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	memoryFiles2 = memoryFiles{"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}
)

// groupRooms are the limits of the process's control groups. What files have left in memory, and
// nobody uses, counts as free.
func groupRooms() (rooms []room) {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		files := memoryFiles2
		if parts[1] != "" {
			if !slices.Contains(strings.Split(parts[1], ","), "memory") {
				continue
			}
			files = memoryFiles1
		}
		for group := path.Clean(parts[2]); ; group = path.Dir(group) {
			dir := path.Join(files.root, group)
			if limit := bytesIn(path.Join(dir, files.limit)); limit > 0 {
				used := bytesIn(path.Join(dir, files.usage)) - min(bytesIn(path.Join(dir, files.usage)), statIn(path.Join(dir, "memory.stat"), files.inactive))
				rooms = append(rooms, room{"the limit of control group " + group, limit, limit - min(limit, used)})
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return rooms
}

// machineRoom is the machine's memory.
func machineRoom() room {
	const file = "/proc/meminfo"
	return room{"the machine's memory", statIn(file, "MemTotal:") << 10, statIn(file, "MemAvailable:") << 10}
}

// bytesIn reads a number of bytes; 0 where there is none: "max", or more than any machine has.
func bytesIn(file string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil || n > 1<<50 {
		return 0
	}
	return n
}

// statIn reads the number behind a name that begins a line.
func statIn(file, name string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			n, _ := strconv.ParseUint(fields[1], 10, 64) // 0 where it is none
			return n
		}
	}
	return 0
}
