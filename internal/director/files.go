package director

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// spareFiles are left for what is not a check: calls of the API, new instances,
	// announcements.
	spareFiles = 24
	// fewestSlots is how many checks may be made at once however few files there are.
	fewestSlots = 8
)

// slots is the room for checks that are made at once, of which each takes a file: they leave
// the director the files that it needs to be asked and to go on. Without a count of files
// there is no bound.
func slots(files func() int) chan struct{} {
	if files == nil {
		return nil
	}
	return make(chan struct{}, max(fewestSlots, files()-spareFiles))
}

// freeFiles is how many more files this process may open.
func freeFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20)) - len(open)
}
