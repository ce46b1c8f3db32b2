package kmap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bpfRoot is where systems mount the bpf file system.
const bpfRoot = "/sys/fs/bpf"

// MakePinDir makes the folder for the pins, and mounts a bpf file system at
// /sys/fs/bpf where there is none. A folder elsewhere is an error, since nothing can
// be pinned there.
func MakePinDir(dir string) error {
	if err := mountBPF(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for pins: %w", err)
	}
	ok, err := isBPF(dir)
	if err == nil && !ok {
		err = fmt.Errorf("%s is not in a bpf file system: use a folder under %s", dir, bpfRoot)
	}
	return err
}

// RemovePins unpins all that is pinned in the folder.
func RemovePins(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list the pins: %w", err)
	}
	for _, e := range entries {
		if e.Name() == unfinished {
			continue
		}
		if err := Unpin(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return Finish(dir) // last: whoever is cut off before leaves it to the next process
}

// RenamePins gives what an earlier version pinned under a former name its name of now.
// Where something has that name already, or the name is empty, what has the former name
// is unpinned.
func RenamePins(dir string, former map[string]string) error {
	for was, name := range former {
		if _, err := PinAt(filepath.Join(dir, was)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := PinAt(filepath.Join(dir, name)); err == nil {
			if err := Unpin(filepath.Join(dir, was)); err != nil {
				return err
			}
			continue
		}
		if err := os.Rename(filepath.Join(dir, was), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("rename a pin: %w", err)
		}
	}
	return nil
}

func mountBPF() error {
	switch ok, err := isBPF(bpfRoot); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: mount sysfs at /sys (mount -t sysfs sysfs /sys), and start a kernel that has CONFIG_BPF_SYSCALL", err)
	case err != nil || ok:
		return err
	}
	err := unix.Mount("bpf", bpfRoot, "bpf", 0, "mode=0700")
	if err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("no bpf file system is at %s, and none can be mounted there: %w: mount it (mount -t bpf bpf %s)", bpfRoot, err, bpfRoot)
	}
	return nil
}

func isBPF(dir string) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	return fs.Type == unix.BPF_FS_MAGIC, nil
}

// Unpin removes a pin, if there is one.
func Unpin(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}
