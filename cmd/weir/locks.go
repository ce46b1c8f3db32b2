package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

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
}

// lockAll takes all of them, before anything is touched. The error names the process that
// has one.
func lockAll(o runOptions) (*locks, error) {
	var l locks
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

func (l *locks) unlock() {
	if l.pins != nil {
		l.pins.Unlock()
	}
	if l.namespace != nil {
		l.namespace.Close()
	}
	l.folder.Close()
}

// lockFolder keeps a second weir from running with the same folder.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
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
	return nil, fmt.Errorf("another weir runs in this network namespace: %s; stop it first, or start this one in a namespace of its own", namespaceHolder())
}

// namespaceHolder names the process that has the namespace's socket.
func namespaceHolder() string {
	c, err := net.Dial("unix", namespaceSocket)
	if err != nil {
		return "a process that cannot be found"
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return "a process that cannot be found"
	}
	var peer *unix.Ucred
	raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || peer == nil {
		return "a process that cannot be found"
	}
	return dataplane.Process(strconv.Itoa(int(peer.Pid)))
}
