package netlnk_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// A raw socket of another process is found with its process, and is told from this process's.
func TestRawSockets(t *testing.T) {
	const protocol = 253 // for experiments, RFC 3692
	raw := func() *os.File {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "raw")
	}
	list := func() (all, others []uint64) {
		all, err := netlnk.RawSockets(protocol)
		if err == nil {
			others, err = netlnk.NotOwn(all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return all, others
	}
	own, given := raw(), raw()
	defer own.Close()
	other := exec.CommandContext(t.Context(), "sleep", "60")
	other.ExtraFiles = []*os.File{given}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	given.Close()
	all, others := list()
	if len(all) != 2 || len(others) != 1 {
		t.Fatalf("%v, of which %v are not this process's; want two and one", all, others)
	}
	if pids := netlnk.SocketHolders(others); !slices.Equal(pids, []int{other.Process.Pid}) {
		t.Errorf("held by %v, want %d", pids, other.Process.Pid)
	}
	other.Process.Kill()
	other.Wait()
	if all, others := list(); len(all) != 1 || len(others) != 0 {
		t.Errorf("once it has ended: %v and %v, want this process's alone", all, others)
	}
}
