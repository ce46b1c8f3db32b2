package trackfile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is the time between two looks at all files.
const lookEvery = time.Second

// events are those of a folder that a file has changed by: it was written and closed, moved
// in or out, or removed. One that is being written is not read.
const events = unix.IN_CLOSE_WRITE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ONLYDIR

// watch follows files from the first follower until the last one has left.
type watch struct {
	log     *slog.Logger
	inotify *os.File // nil where the machine has none left: then there are only looks
	stop    chan struct{}
	done    chan struct{}

	mu          sync.Mutex
	files       map[string]*file // by path
	folders     map[string]int   // inotify's descriptors, by path
	descriptors map[int]struct{} // all that it watches
}

// file is one that is followed.
type file struct {
	followers int
	number    int64
	changed   chan struct{} // closed when the number becomes another one
	read      stamp         // what was read
	seen      stamp         // what was there at the last look
	folders   []string      // those that its changes are told in
	names     []string      // its name in each
}

// stamp tells whether a file is still what it was; that of a missing file is the zero stamp.
type stamp struct {
	device, inode uint64
	size, mtime   int64
}

func newWatch(log *slog.Logger) *watch {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &watch{log: log, stop: make(chan struct{}), done: make(chan struct{}), files: map[string]*file{}, folders: map[string]int{}, descriptors: map[int]struct{}{}}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		log.Warn("track_file: changes are seen a second or two late", "reason", os.NewSyscallError("inotify_init1", err))
	} else {
		w.inotify = os.NewFile(uintptr(fd), "inotify")
	}
	go w.run()
	return w
}

// end waits until the watch has ended.
func (w *watch) end() {
	close(w.stop)
	if w.inotify != nil {
		_ = w.inotify.Close() // it has no error that matters to one that is not asked any more
	}
	<-w.done
}

func (w *watch) add(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.files[path]
	if f == nil {
		f = &file{changed: make(chan struct{})}
		w.files[path] = f
		w.place(path, f)
		w.reread(path, f)
	}
	f.followers++
}

// remove takes a follower of a file away, and tells whether it was the last of all.
func (w *watch) remove(path string) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files[path].followers--; w.files[path].followers == 0 {
		delete(w.files, path)
		w.tidy()
	}
	return len(w.files) == 0
}

// now is a file's number, and what is closed when it is another one.
func (w *watch) now(path string) (number int64, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[path].number, w.files[path].changed
}

// run takes in what inotify tells, and looks at all files at intervals.
func (w *watch) run() {
	defer close(w.done)
	buffer := make([]byte, 16*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	next := time.Now().Add(lookEvery)
	for w.wait(buffer, next) {
		if !time.Now().Before(next) {
			w.look()
			next = time.Now().Add(lookEvery)
		}
	}
}

// wait takes in what inotify tells until a time; it returns false when the watch ends.
func (w *watch) wait(buffer []byte, until time.Time) bool {
	if w.inotify == nil {
		select {
		case <-time.After(time.Until(until)):
			return true
		case <-w.stop:
			return false
		}
	}
	if err := w.inotify.SetReadDeadline(until); err != nil {
		return false // closed
	}
	n, err := w.inotify.Read(buffer)
	switch {
	case errors.Is(err, os.ErrClosed), errors.Is(err, io.EOF):
		return false
	case err == nil:
		w.heed(buffer[:n])
	}
	return true
}

// heed takes in events: a header of 16 bytes in the machine's byte order (inotify(7)) with
// the folder's descriptor and the length of the name, and the name, filled up with zeros.
func (w *watch) heed(told []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(told) >= unix.SizeofInotifyEvent {
		descriptor, mask := int(int32(binary.NativeEndian.Uint32(told))), binary.NativeEndian.Uint32(told[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(told[12:]))
		if end > len(told) {
			return
		}
		name := unix.ByteSliceToString(told[unix.SizeofInotifyEvent:end])
		told = told[end:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			w.each(w.reread)
		case mask&unix.IN_IGNORED == 0:
			w.each(func(path string, f *file) {
				if w.means(f, descriptor, name) {
					w.reread(path, f)
				}
			})
		}
	}
}

// means says whether an event is one of a file.
func (w *watch) means(f *file, descriptor int, name string) bool {
	for i, folder := range f.folders {
		if d, ok := w.folders[folder]; ok && d == descriptor && f.names[i] == name {
			return true
		}
	}
	return false
}

func (w *watch) each(do func(string, *file)) {
	for path, f := range w.files {
		do(path, f)
	}
}

// look reads the files that have changed without a word from inotify. One that has changed
// since the last look may be in the middle of being written: it is read the next time.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.each(func(path string, f *file) {
		w.place(path, f)
		now := stampOf(path)
		if now != f.read && now == f.seen {
			w.reread(path, f)
		}
		f.seen = now
	})
	w.tidy()
}

// place works out which folders tell of a file, and has inotify watch them: its own and,
// where it is a link, that of the file that it points to.
func (w *watch) place(path string, f *file) {
	f.folders, f.names = []string{filepath.Dir(path)}, []string{filepath.Base(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != filepath.Clean(path) {
		f.folders, f.names = append(f.folders, filepath.Dir(real)), append(f.names, filepath.Base(real))
	}
	if w.inotify == nil {
		return
	}
	for _, folder := range f.folders {
		// The descriptor of a folder that is watched already is the same one. One that
		// cannot be watched, since there is no such folder, is tried at the next look.
		w.control(func(fd int) {
			if d, err := unix.InotifyAddWatch(fd, folder, events); err == nil {
				w.folders[folder] = d
				w.descriptors[d] = struct{}{}
			} else {
				delete(w.folders, folder)
			}
		})
	}
}

// tidy has inotify watch no folder that no file needs.
func (w *watch) tidy() {
	folders, descriptors := map[string]int{}, map[int]struct{}{}
	for _, f := range w.files {
		for _, folder := range f.folders {
			if d, ok := w.folders[folder]; ok {
				folders[folder], descriptors[d] = d, struct{}{}
			}
		}
	}
	for d := range w.descriptors {
		if _, needed := descriptors[d]; !needed {
			w.control(func(fd int) {
				_, _ = unix.InotifyRmWatch(fd, uint32(d)) // a folder that is gone is watched no more
			})
		}
	}
	w.folders, w.descriptors = folders, descriptors
}

// control calls do with inotify's file, unless there is none or it is closed.
func (w *watch) control(do func(fd int)) {
	if raw, err := w.inotify.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// reread takes in what is in a file.
func (w *watch) reread(path string, f *file) {
	f.read = stampOf(path)
	text, err := readSome(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("track_file cannot be read: its number is 0", "reason", err)
	}
	number, ok := parse(text)
	if !ok {
		w.log.Warn("track_file has a number that is too large: it is ignored", "file", path, "text", text)
		return
	}
	if number != f.number {
		f.number = number
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// readSome is the beginning of a file. What is not a regular file is not read: it could
// take for ever.
func readSome(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", cmp.Or(err, fmt.Errorf("%s is not a regular file", path))
	}
	text := make([]byte, mostRead)
	n, err := f.Read(text)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(text[:n]), err
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = sys.Dev, sys.Ino
	}
	return s
}
