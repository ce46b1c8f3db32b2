package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// oldestKernel is the first release of Linux that has what weir uses.
const oldestKernel = "6.1"

// host is what of this machine decides whether weir can run.
type host struct {
	root    bool
	caps    uint64 // the process's effective capabilities, bit by number
	release string // of the kernel, as uname(2) has it
	threads uint64 // that the process's control groups allow, with its own
}

// thisHost asks the kernel.
func thisHost() (host, error) {
	h := host{root: os.Geteuid() == 0}
	if _, err := os.Stat("/proc/self/mountinfo"); err != nil {
		return h, fmt.Errorf("%w: mount proc at /proc (mount -t proc proc /proc)", err)
	}
	var err error
	if h.threads, err = threadsAllowed(os.DirFS("/")); err != nil {
		return h, fmt.Errorf("ask for this process's limit of threads: %w", err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return h, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	h.release = unix.ByteSliceToString(name.Release[:])
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return h, fmt.Errorf("ask for this process's capabilities: %w", err)
	}
	h.caps = uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	return h, nil
}

// needed are the capabilities that weir cannot run without, and what for.
var needed = []struct {
	bit  uint
	name string
	why  string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "addresses and devices"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW", "VRRP and the announcements of addresses"},
	{unix.CAP_BPF, "CAP_BPF", "the data plane's tables and programs"},
	{unix.CAP_PERFMON, "CAP_PERFMON", "the data plane's programs"},
}

// needs says what this machine, or this process, lacks, and what to do.
func (h host) needs() error {
	if olderThan(h.release, oldestKernel) {
		return fmt.Errorf("the kernel is Linux %s, and weir needs %s or later: start this machine with a newer one", h.release, oldestKernel)
	}
	if h.threads < fewestThreads {
		return fmt.Errorf("the control group allows %d processes and threads, and weir needs %d at least: raise it (TasksMax= of the unit, --pids-limit of the container)", h.threads, fewestThreads)
	}
	var lacks []string
	for _, c := range needed {
		// CAP_SYS_ADMIN has been enough for BPF before its own capabilities came.
		has := h.caps>>c.bit&1 == 1 || (c.bit == unix.CAP_BPF || c.bit == unix.CAP_PERFMON) && h.caps>>unix.CAP_SYS_ADMIN&1 == 1
		if !has {
			lacks = append(lacks, fmt.Sprintf("%s (%s)", c.name, c.why))
		}
	}
	switch {
	case len(lacks) == 0:
		return nil
	case h.root:
		return errors.New("this process is root's, and lacks " + strings.Join(lacks, ", ") + ": allow it (CapabilityBoundingSet= of the unit, --cap-add of the container)")
	}
	return errors.New("this process is not root's, and lacks " + strings.Join(lacks, ", ") + ": run it as root, or give it these (AmbientCapabilities= of the unit)")
}

// remedies are what to do about errors of the system that a start ends with.
var remedies = []struct {
	errno unix.Errno
	what  string
}{
	{unix.EMFILE, "raise the limit of open files (LimitNOFILE= of the unit, or ulimit -n)"},
	{unix.ENFILE, "raise the limit of open files of this machine (sysctl fs.file-max)"},
	{unix.ENOSPC, "its file system is full: make room there" + anotherFolder},
	{unix.EDQUOT, "the quota of its file system is used up: make room there" + anotherFolder},
	{unix.EROFS, "its file system is mounted read-only: mount it for writing" + anotherFolder},
	{unix.ENOTDIR, "a file stands where a folder has to be: move it away" + anotherFolder},
	{unix.ELOOP, "a symbolic link stands there, which weir does not follow: remove it" + anotherFolder},
}

const anotherFolder = ", or give weir another folder (--run-dir, --pin-dir)"

// withRemedy says what to do about an error of the system.
func withRemedy(err error) error {
	for _, r := range remedies {
		if errors.Is(err, r.errno) {
			return fmt.Errorf("%w: %s", err, r.what)
		}
	}
	return err
}

// olderThan compares releases such as 5.15.0-91-generic by their first two numbers. One
// that cannot be read is not older.
func olderThan(release, than string) bool {
	var major, minor, wantMajor, wantMinor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	fmt.Sscanf(than, "%d.%d", &wantMajor, &wantMinor)
	return major < wantMajor || major == wantMajor && minor < wantMinor
}
