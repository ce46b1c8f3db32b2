package dataplane

import (
	"errors"
	"os"

	"weir/internal/dataplane/attach"
	"weir/internal/dataplane/kmap"
	"weir/internal/dataplane/lease"
)

// Leases are those of a data plane that a process has left pinned. It implements what a
// mastership needs that is kept until the next process comes.
type Leases = lease.Pinned

// OpenLeases opens the leases that are pinned in a folder. The caller closes them.
func OpenLeases(pinDir string) (*Leases, error) { return lease.OpenPinned(pinDir) }

// Lock is a folder of pins that no other process may use.
type Lock = kmap.Lock

// LockPins makes a folder for pins, and locks it, for Options.Lock. Nothing that is pinned in
// it is touched; an empty one is unfinished from now on. The error names the process that has
// it.
func LockPins(pinDir string) (*Lock, error) {
	if err := kmap.MakePinDir(pinDir); err != nil {
		return nil, err
	}
	lock, err := kmap.LockDir(pinDir)
	if err != nil {
		return nil, err
	}
	if err := kmap.Begin(pinDir); err != nil {
		lock.Unlock()
		return nil, err
	}
	return lock, nil
}

// Unfinished says whether what is pinned in a folder is that of a first start, and has not
// been set up yet.
func Unfinished(pinDir string) bool { return kmap.Unfinished(pinDir) }

// RemoveUnfinished takes away what a first start has pinned in a folder that is the caller's by
// its lock, unless its data plane has been set up: then it returns false. The start may be under
// way in another goroutine, which can pin nothing more there.
func RemoveUnfinished(pinDir string) (removed bool, err error) {
	if !kmap.Unfinished(pinDir) {
		return false, nil
	}
	if err := attach.DetachPinned(pinDir); err != nil {
		return false, err
	}
	return true, kmap.RemovePinDir(pinDir)
}

// Holder names the process that has a file locked by flock, in words, and Process one by its
// number.
func Holder(f *os.File) string  { return kmap.Holder(f) }
func Process(pid string) string { return kmap.Process(pid) }

// RemovePinned takes away the data plane that is pinned in a folder, whoever left it: it
// leaves every device, and nothing stays pinned. Where there is no such folder it returns
// false. The error is kmap's where a process still keeps it.
func RemovePinned(pinDir string) (removed bool, err error) {
	if _, err := os.Stat(pinDir); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	lock, err := kmap.LockDir(pinDir)
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	if err := attach.DetachPinned(pinDir); err != nil {
		return false, err
	}
	return true, kmap.RemovePinDir(pinDir)
}
