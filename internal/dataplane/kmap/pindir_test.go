package kmap

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is said where nothing can be pinned: the cause and the remedy. Each is tried on a
// thread with mounts of its own, which ends with it.
func TestNoBPFFileSystem(t *testing.T) {
	elsewhere := t.TempDir()
	for _, tt := range []struct {
		name, over string // over is where something else is mounted
		mounts     bool   // the process may mount
		dir        string
		want       string
	}{
		{"one is mounted", bpfRoot, true, bpfRoot + "/weir-pindir-test", ""},
		{"none may be mounted", bpfRoot, false, bpfRoot + "/weir-pindir-test",
			"no bpf file system is at /sys/fs/bpf, and none can be mounted there: operation not permitted: mount it (mount -t bpf bpf /sys/fs/bpf)"},
		{"there is no place for one", "/sys/fs", true, bpfRoot + "/weir-pindir-test",
			"look at /sys/fs/bpf: no such file or directory: mount sysfs at /sys (mount -t sysfs sysfs /sys), and start a kernel that has CONFIG_BPF_SYSCALL"},
		{"a folder elsewhere", bpfRoot, true, elsewhere, elsewhere + " is not in a bpf file system: use a folder under /sys/fs/bpf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := make(chan string)
			go func() {
				runtime.LockOSThread() // and never unlocked: the thread ends
				told <- tryPinDir(tt.over, tt.mounts, tt.dir)
			}()
			if got := <-told; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// tryPinDir mounts an empty file system somewhere, makes a folder for pins, and says what
// that told.
func tryPinDir(over string, mounts bool, dir string) string {
	for _, step := range []func() error{
		func() error { return unix.Unshare(unix.CLONE_NEWNS) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", over, "tmpfs", 0, "") },
		func() error {
			if mounts {
				return nil
			}
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var data [2]unix.CapUserData
			if err := unix.Capget(&header, &data[0]); err != nil {
				return err
			}
			data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
			return unix.Capset(&header, &data[0])
		},
	} {
		if err := step(); err != nil {
			return "the test: " + err.Error()
		}
	}
	if err := MakePinDir(dir); err != nil {
		return strings.TrimSpace(err.Error())
	}
	return ""
}
