package kmap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Pin is a name in the bpf file system, with the inode of the object that is pinned there.
// An object that is pinned again has another inode.
type Pin struct {
	path  string
	inode uint64
}

// PinAt is the pin at a path. Its error is fs.ErrNotExist where nothing is pinned.
func PinAt(path string) (Pin, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Pin{}, fmt.Errorf("look at the pin: %w", err)
	}
	return Pin{path, info.Sys().(*syscall.Stat_t).Ino}, nil
}

// Name is the last part of its path.
func (p Pin) Name() string { return filepath.Base(p.path) }

// Path is where it is.
func (p Pin) Path() string { return p.path }

// Lost says whether nothing or something else is pinned at the path. A path that cannot be
// looked at is not lost.
func (p Pin) Lost() bool {
	now, err := PinAt(p.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && now != p
}
