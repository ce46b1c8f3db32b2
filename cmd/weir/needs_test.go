package main

import (
	"fmt"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNeeds is each error about the machine: its cause and its remedy.
func TestNeeds(t *testing.T) {
	const all, many = ^uint64(0), ^uint64(0)
	without := func(bits ...uint) uint64 {
		caps := all
		for _, b := range bits {
			caps &^= 1 << b
		}
		return caps
	}
	for _, tt := range []struct {
		name string
		host host
		want string
	}{
		{"root on a new kernel", host{true, all, "6.1.0-13-amd64", many}, ""},
		{"a later kernel", host{true, all, "10.0", many}, ""},
		{"a release that cannot be read", host{true, all, "linux", many}, ""},
		{"CAP_SYS_ADMIN alone", host{true, without(unix.CAP_BPF, unix.CAP_PERFMON), "6.8", many}, ""},
		{"a kernel that is too old", host{true, all, "5.15.0-91-generic", many}, "the kernel is Linux 5.15.0-91-generic, and weir needs 6.1 or later: start this machine with a newer one"},
		{"no CAP_NET_ADMIN", host{true, without(unix.CAP_NET_ADMIN), "6.1", many}, "this process is root's, and lacks CAP_NET_ADMIN (addresses and devices): allow it (CapabilityBoundingSet= of the unit, --cap-add of the container)"},
		{"no CAP_BPF", host{true, without(unix.CAP_BPF, unix.CAP_SYS_ADMIN), "6.1", many}, "this process is root's, and lacks CAP_BPF (the data plane's tables and programs): allow it (CapabilityBoundingSet= of the unit, --cap-add of the container)"},
		{"not root", host{false, 0, "6.1", many}, "this process is not root's, and lacks CAP_NET_ADMIN (addresses and devices), CAP_NET_RAW (VRRP and the announcements of addresses), CAP_BPF (the data plane's tables and programs), CAP_PERFMON (the data plane's programs): run it as root, or give it these (AmbientCapabilities= of the unit)"},
		{"few threads", host{true, all, "6.1", 8}, "the control group allows 8 processes and threads, and weir needs 28 at least: raise it (TasksMax= of the unit, --pids-limit of the container)"},
	} {
		got := ""
		if err := tt.host.needs(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
	if h, err := thisHost(); err != nil || h.needs() != nil {
		t.Errorf("this machine: %+v, %v, needs %v", h, err, h.needs())
	}
}

// TestWithRemedy is an error of a limit, and one that is none.
func TestWithRemedy(t *testing.T) {
	for want, err := range map[string]error{
		"load the data plane: too many open files: raise the limit of open files (LimitNOFILE= of the unit, or ulimit -n)":                                                                        fmt.Errorf("load the data plane: %w", unix.EMFILE),
		"open the lock: open /run/weir/weir.lock: no space left on device: its file system is full: make room there, or give weir another folder (--run-dir, --pin-dir)":                          fmt.Errorf("open the lock: %w", &fs.PathError{Op: "open", Path: "/run/weir/weir.lock", Err: unix.ENOSPC}),
		"make the folder for pins: mkdir /sys/fs/bpf/weir: read-only file system: its file system is mounted read-only: mount it for writing, or give weir another folder (--run-dir, --pin-dir)": fmt.Errorf("make the folder for pins: %w", &fs.PathError{Op: "mkdir", Path: "/sys/fs/bpf/weir", Err: unix.EROFS}),
		"make the run folder: mkdir /run/weir: not a directory: a file stands where a folder has to be: move it away, or give weir another folder (--run-dir, --pin-dir)":                         fmt.Errorf("make the run folder: %w", &fs.PathError{Op: "mkdir", Path: "/run/weir", Err: unix.ENOTDIR}),
		"no such device": unix.ENODEV,
	} {
		if got := withRemedy(err); got.Error() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
