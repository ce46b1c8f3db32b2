// Package statefile reads and writes the files in which weir keeps what the next process needs.
// Neither follows links, waits for a pipe, or trusts another user.
package statefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mostState bounds a state file, in bytes.
const mostState = 16 << 20

// folder is the folder of the file. What is in it is reached by its descriptor, and no link is
// followed: what weir does to the kernel goes by the file.
type folder struct{ *os.File }

// openFolder opens a folder; the error says, too, that anybody may write to it.
func openFolder(path string) (folder, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return folder{}, err
	}
	info, err := d.Stat()
	if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		err = fmt.Errorf("anybody may write to the folder %s: take that away (chmod o-w %s)", path, path)
	}
	if err != nil {
		d.Close()
		return folder{}, err
	}
	return folder{d}, nil
}

// open is openat(2), without following a link.
func (d folder) open(name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(d.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, mode)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			err = errors.New("it is a link")
		}
		return nil, &os.PathError{Op: "open", Path: filepath.Join(d.Name(), name), Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.Name(), name)), nil
}

// Read reads a file that this user or root has written. The error names it, and is
// fs.ErrNotExist where there is none.
func Read(path string) ([]byte, error) {
	d, err := openFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.open(filepath.Base(path), unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("%s is not a regular file", path)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%s is another user's: remove it", path)
	case st.Size > mostState:
		return nil, fmt.Errorf("%s is longer than %d MiB: it is no state file", path, mostState>>20)
	}
	return io.ReadAll(io.LimitReader(f, mostState))
}

// Write replaces a file, and whatever else stands at its path but a folder. At any moment, and
// after a crash of the machine, the path holds the whole old text or the whole new one.
func Write(path string, b []byte) error {
	d, err := openFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	name := filepath.Base(path)
	next := name + ".new"
	if err := unix.Unlinkat(int(d.Fd()), next, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	f, err := d.open(next, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := unix.Renameat(int(d.Fd()), next, int(d.Fd()), name); err != nil {
		return err
	}
	return d.Sync()
}
