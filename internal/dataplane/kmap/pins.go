package kmap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The kinds of drift that are not those of one table.
const (
	PinKind     = "pins"
	CompareKind = "comparisons" // what could not be looked at
)

// Pins is the folder in which a process's tables are pinned.
type Pins struct {
	dir    string
	tables map[string]*ebpf.Map

	lock *Lock // that the caller took before; nil is none

	mu    sync.Mutex // guards the fields below
	at    map[string]Pin
	kept  folderTime // of the folder when all pins were last found in it
	owned *os.File   // the folder, between Own and Disown
}

// NewPins notes where these tables are pinned in the folder, whose lock is the caller's
// unless it is nil.
func NewPins(dir string, tables map[string]*ebpf.Map, lock *Lock) (*Pins, error) {
	p := &Pins{dir: dir, tables: tables, lock: lock}
	return p, p.notePins()
}

// Own marks the pins as this process's until Disown: two processes that repaired the same
// tables would undo each other's work for ever. It returns an error where another process
// has marked them.
func (p *Pins) Own() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lock != nil {
		return nil
	}
	p.owned, err = p.own()
	return err
}

// Disown ends what Own began.
func (p *Pins) Disown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned.Close() // harmless where it is nil
	p.owned = nil
}

func (p *Pins) own() (*os.File, error) { return lockDir(p.dir) }

// Lock is a folder that is locked by this process until Unlock, or until it ends.
type Lock struct{ dir *os.File }

// LockDir locks a folder of pins. Two processes that set up the same tables would undo each
// other's work. The error names the process that has it locked.
func LockDir(path string) (*Lock, error) {
	dir, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	return &Lock{dir}, nil
}

// Unlock ends it.
func (l *Lock) Unlock() { l.dir.Close() }

func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the pins: %w", err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return dir, nil
	}
	defer dir.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another weir keeps the data plane that is pinned in %s: %s; stop it, or give this one a pin folder of its own", path, Holder(dir))
	}
	return nil, fmt.Errorf("lock the folder of the pins: %w", err)
}

// Holder names the process that has a file or folder locked by flock, in words.
func Holder(f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "a process that cannot be found"
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return "a process that cannot be found"
	}
	// 1: FLOCK  ADVISORY  WRITE 4242 00:1f:1234 0 EOF (proc_locks(5))
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(locks)) {
		words := strings.Fields(line)
		if len(words) >= 6 && words[1] == "FLOCK" && words[5] == inode {
			return Process(words[4])
		}
	}
	return "a process that cannot be found"
}

// Process names a process by its number, with its command where that can be read.
func Process(pid string) string {
	command, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(command)))
}

// notePins remembers where the tables are pinned.
func (p *Pins) notePins() (err error) {
	p.at = map[string]Pin{}
	for name, m := range p.tables {
		if !m.IsPinned() {
			continue
		}
		if p.at[name], err = PinAt(filepath.Join(p.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Repair pins the tables again that are not where the next process would look for
// them, and notes each with the error of that.
func (p *Pins) Repair(note func(name string, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := folderTimeOf(p.dir)
	if err == nil && now.same(p.kept) {
		return
	}
	if err != nil {
		err := p.remakePinDir()
		note(p.dir, err)
		if err != nil {
			return
		}
	}
	lost := err != nil
	for name, at := range p.at {
		if at.Lost() {
			lost = true
			note(name, p.repinTable(name, p.tables[name]))
		}
	}
	if p.kept = now; lost {
		p.kept = folderTime{}
	}
}

// folderTime is which folder a path leads to, and when something in it was pinned, unpinned or
// renamed last.
type folderTime struct {
	device, inode uint64
	changed       time.Time
	looked        time.Time
}

// folderTick is more than the kernel's clock of files goes on at a time.
const folderTick = 100 * time.Millisecond

func folderTimeOf(path string) (folderTime, error) {
	looked := time.Now()
	info, err := os.Stat(path)
	if err != nil {
		return folderTime{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return folderTime{st.Dev, st.Ino, info.ModTime(), looked}, nil
}

// same says whether nothing in the folder has changed since an earlier look at it. Where that
// was right behind a change, another one may have the same time.
func (f folderTime) same(before folderTime) bool {
	return f.device == before.device && f.inode == before.inode && f.changed.Equal(before.changed) &&
		before.looked.Sub(before.changed) > folderTick
}

func (p *Pins) remakePinDir() error {
	if err := MakePinDir(p.dir); err != nil {
		return err
	}
	dir, err := p.own()
	if err != nil {
		return err
	}
	if p.owned != nil {
		p.owned.Close()
	}
	p.owned = dir
	return nil
}

func (p *Pins) repinTable(name string, m *ebpf.Map) (err error) {
	path := p.at[name].Path()
	if err := m.Unpin(); err != nil {
		return err
	}
	if err := m.Pin(path); err != nil {
		return err
	}
	p.at[name], err = PinAt(path)
	return err
}
