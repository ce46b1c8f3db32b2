package netlnk_test

import (
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// A raw socket of another process is found with its process, and this process's own is not.
func TestOtherRawSockets(t *testing.T) {
	const protocol = 253 // for experiments, RFC 3692
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if inodes, err := netlnk.OtherRawSockets(protocol); err != nil || len(inodes) > 0 {
		t.Errorf("before: %v, %v", inodes, err)
	}
	other := exec.CommandContext(t.Context(), "python3", "-c", "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253); time.sleep(60)")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	var inodes []uint64
	nstest.WaitFor(t, "the other process has its socket", func() bool {
		inodes, err = netlnk.OtherRawSockets(protocol)
		return err == nil && len(inodes) == 1
	})
	if pids := netlnk.SocketHolders(inodes); !slices.Equal(pids, []int{other.Process.Pid}) {
		t.Errorf("held by %v, want %d", pids, other.Process.Pid)
	}
}
