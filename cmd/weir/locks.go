package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"weir/internal/api"
	"weir/internal/dataplane"
)

// lockName is the file that a running weir holds locked, in its run folder.
const lockName = "weir.lock"

// namespaceSocket is the abstract socket that a running weir has in its network namespace:
// two would set up the same addresses, devices and instances.
const namespaceSocket = "@weir-runs"

// locks are what a weir that runs has for itself. The kernel releases them with the
// process, however that ends.
type locks struct {
	folder    *os.File
	namespace net.Listener
	pins      *dataplane.Lock
	pinDir    string
}

// lockAll takes all of them, before anything is touched. The error names the process that
// has one.
func lockAll(o runOptions) (*locks, error) {
	l := locks{pinDir: o.pinDir}
	var err error
	if l.folder, err = lockFolder(o.runDir); err != nil {
		return nil, err
	}
	if l.namespace, err = lockNamespace(); err == nil {
		l.pins, err = dataplane.LockPins(o.pinDir)
	}
	if err != nil {
		l.unlock()
		return nil, err
	}
	return &l, nil
}

// unlock releases them. Pins that nobody has come to make are taken away with their folder.
func (l *locks) unlock() {
	if l.pins != nil {
		_, _ = dataplane.RemoveUnfinished(l.pinDir) // the next start tries again
		l.pins.Unlock()
	}
	if l.namespace != nil {
		l.namespace.Close()
	}
	l.folder.Close()
}

// lockFolder keeps a second weir from running with the same folder.
func lockFolder(dir string) (*os.File, error) {
	// A socket's path has 108 bytes in the kernel, with a zero at its end (struct sockaddr_un).
	if n := len(api.Socket(dir)); n > 107 {
		return nil, fmt.Errorf("the name of the run folder is too long: that of a socket may have 107 bytes, and %s has %d: give weir a folder with a shorter name (--run-dir)", api.Socket(dir), n)
	}
	err := os.MkdirAll(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the run folder: %w: a symbolic link stands there that leads nowhere: remove it%s", err, anotherFolder)
	}
	if err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		return nil, fmt.Errorf("another weir runs with %s: %s; stop it, or give this one its own --run-dir and --pin-dir", dir, dataplane.Holder(f))
	}
	return f, nil
}

// lockNamespace keeps a second weir from running in the same network namespace.
func lockNamespace() (net.Listener, error) {
	l, err := net.Listen("unix", namespaceSocket)
	if err == nil {
		return l, nil
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("mark this network namespace: %w", err)
	}
	peer := namespaceHolder()
	if peer != nil && peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return nil, nil // no weir: a socket of this kind has no owner, and keeps nobody out
	}
	who := "a process that cannot be found"
	if peer != nil {
		who = dataplane.Process(strconv.Itoa(int(peer.Pid)))
	}
	return nil, fmt.Errorf("another weir runs in this network namespace: %s; stop it first, or start this one in a namespace of its own", who)
}

// namespaceHolder is who has the namespace's socket; nil where nobody can be found.
func namespaceHolder() *unix.Ucred {
	c, err := net.Dial("unix", namespaceSocket)
	if err != nil {
		return nil
	}
	defer c.Close()
	return peerOf(c)
}
