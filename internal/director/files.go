package director

import (
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/trackfile"
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

// initFiles makes the track_files that say init_file. One that cannot be made counts as 0.
func initFiles(files []*conf.TrackFile, log *slog.Logger) {
	for _, f := range files {
		if !f.Init {
			continue
		}
		if err := trackfile.Init(f.File, f.InitValue, f.Overwrite); err != nil {
			log.Warn("track_file is not initialised", "name", f.Name, "reason", err)
		}
	}
}
