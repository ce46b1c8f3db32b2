package cluster

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk/nstest"
)

// A program that speaks VRRP on the same machine is not heard; weir status says that it is there,
// who it is, and when it has gone.
func TestAnotherProgramThatSpeaksVRRP(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	status := func() string {
		out, _ := c.weir(c.node01, "status")
		return out
	}
	fd := -1
	c.must(c.node01.Namespace().Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 112)
		return err
	}))
	nstest.WaitFor(t, "weir status names it", func() bool {
		return strings.Contains(status(), "(cluster.test) speaks VRRP here, too: end it")
	})
	unix.Close(fd)
	nstest.WaitFor(t, "weir status has forgotten it", func() bool { return !strings.Contains(status(), "speaks VRRP here") })
}
