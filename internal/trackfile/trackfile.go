// Package trackfile follows files that each hold one whole number: the track_file blocks,
// for FILE_CHECK and for the priorities of VRRP instances.
//
// A change is seen at once, by inotify on the file's folder. Once a second the files are
// also looked at, for what inotify does not tell: file systems of another machine, a folder
// that was made anew, a link that points to another file.
package trackfile

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// Files follows files for any number of followers, with one inotify instance for all. The
// zero value is ready.
type Files struct {
	// Log, if it is not nil, is told of a file that holds no number that counts.
	Log *slog.Logger

	mu    sync.Mutex
	watch *watch // nil while nobody follows
}

// Follow calls report with the number in the file at path, at once and whenever it has
// become another one, from the caller's goroutine, until ctx ends. A file that is missing,
// empty, or does not begin with a number has the number 0, as in keepalived; one outside of
// -2³¹ to 2³¹ is ignored. Of numbers that follow each other faster than report returns, the
// last one counts.
func (f *Files) Follow(ctx context.Context, path string, report func(number int64)) {
	w := f.join(path)
	defer f.leave(w, path)
	told, first := int64(0), true
	for {
		number, changed := w.now(path)
		if first || number != told {
			report(number)
			told, first = number, false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// join adds a follower of a file.
func (f *Files) join(path string) *watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch == nil {
		f.watch = newWatch(f.Log)
	}
	f.watch.add(path)
	return f.watch
}

// leave takes a follower away; the last one ends the watch.
func (f *Files) leave(w *watch, path string) {
	f.mu.Lock()
	last := w.remove(path)
	if last {
		f.watch = nil
	}
	f.mu.Unlock()
	if last {
		w.end()
	}
}

// Init is init_file: it writes a number into the file at path where there is no such file,
// or with overwrite in any case. The error names the path.
func Init(path string, number int, overwrite bool) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !overwrite:
		return nil
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("init_file: %s is not a regular file", path)
	case err != nil && !os.IsNotExist(err):
		return fmt.Errorf("init_file: %w", err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", number), 0o644); err != nil {
		return fmt.Errorf("init_file: %w", err)
	}
	return nil
}
