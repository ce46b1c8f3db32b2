package netlnk

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// Receive reads a packet socket that does not block until ctx ends, and closes it. It calls
// heard for each packet that came in, at most longest bytes of it, with where it came from;
// heard may keep neither. What this machine sends is left out.
func Receive(ctx context.Context, fd int, longest int, heard func(packet []byte, from *unix.SockaddrLinklayer)) error {
	f := os.NewFile(uintptr(fd), "packets")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	b := make([]byte, longest)
	for ctx.Err() == nil {
		var n int
		var from unix.Sockaddr
		var failed error
		if err := conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), b, 0)
			return failed != unix.EAGAIN
		}); err != nil { // closed
			return nil
		}
		// With an error nothing was read: a device that went down says so once.
		link, ok := from.(*unix.SockaddrLinklayer)
		if failed == nil && ok && link.Pkttype != unix.PACKET_OUTGOING {
			heard(b[:n], link)
		}
	}
	return nil
}
