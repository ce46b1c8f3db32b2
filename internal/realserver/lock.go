package realserver

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWithin is how long another process may have the state to itself.
const lockWithin = 2 * time.Second

// lockFolder locks a folder, which leaves no file behind.
func lockFolder(d *os.File, within time.Duration) error {
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return err
		case time.Now().After(end):
			return errors.New("another process that changes the real server has it, and does not end")
		}
	}
}
