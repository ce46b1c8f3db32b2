package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// fifoKind says which FIFOs a line is for, beside the one for all.
type fifoKind uint8

const (
	forVRRP fifoKind = iota
	forLVS
	fifoKinds
)

// fifos are the FIFOs of a configuration. A line that has no room in one, since nobody reads
// it, is dropped: the kernel's pipe is the queue, and nothing waits for it.
type fifos struct {
	log     *slog.Logger
	scripts *scripts

	mu     sync.Mutex // guards what follows
	all    *fifo
	byKind [fifoKinds]*fifo
}

// fifo is one FIFO, and the program that reads it.
type fifo struct {
	fd     int
	made   bool // weir has made the file
	path   conf.Script
	reader conf.Script
	stop   context.CancelFunc // ends the reader
	lost   int                // lines in a row that had no room
}

func newFIFOs(s *scripts, log *slog.Logger) *fifos { return &fifos{log: log, scripts: s} }

// set has the FIFOs of this configuration open, and no others.
func (f *fifos) set(cfg *conf.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &cfg.Global.Channels
	f.change(&f.all, c.FIFO, c.FIFOScript)
	f.change(&f.byKind[forVRRP], c.VRRPFIFO, c.VRRPFIFOScript)
	f.change(&f.byKind[forLVS], c.LVSFIFO, c.LVSFIFOScript)
	for _, one := range []*fifo{f.all, f.byKind[forVRRP], f.byKind[forLVS]} {
		if err := one.permit(0o644 &^ cfg.Global.Umask); err != nil {
			f.log.Warn("the mode of a FIFO cannot be set", "fifo", one.path.Command, "error", err)
		}
	}
}

// close ends the readers, and removes what weir has made.
func (f *fifos) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range []**fifo{&f.all, &f.byKind[forVRRP], &f.byKind[forLVS]} {
		(*at).close()
		*at = nil
	}
}

// change makes a FIFO another one, unless it is the same. One that could not be opened is
// tried again at each change.
func (f *fifos) change(at **fifo, path, reader conf.Script) {
	if *at != nil && (*at).path == path && (*at).reader == reader {
		return
	}
	(*at).close()
	*at = nil
	if path.Command == "" {
		return
	}
	opened, err := open(path)
	if err != nil {
		f.log.Warn("a FIFO cannot be written", "fifo", path.Command, "error", err)
		return
	}
	opened.reader = reader
	if reader.Command != "" {
		opened.stop = f.read(path.Command, reader)
	}
	*at = opened
}

// permit sets the mode of a FIFO that weir has made.
func (f *fifo) permit(mode uint32) error {
	if f == nil || !f.made {
		return nil
	}
	return unix.Fchmod(f.fd, mode)
}

// readAgain is how long after its end a reader is started once more.
const readAgain = 5 * time.Second

// read has a program read a FIFO, whose path is its last argument, until stop is called.
func (f *fifos) read(path string, reader conf.Script) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for ctx.Err() == nil {
			end, err := commandOf(command{reader, []string{path}}).Run(ctx, f.scripts.rules.Load(), 0)
			if ctx.Err() != nil {
				return
			}
			f.log.Warn("the program that reads a FIFO has ended: it is started again", "program", reader.Command, "exit", end.Code, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(readAgain):
			}
		}
	}()
	return stop
}

// open opens a FIFO for writing and reading, so that it needs no reader, and makes it where
// there is none. A file that is no FIFO, or somebody else's, is an error.
func open(path conf.Script) (*fifo, error) {
	f := &fifo{path: path, fd: -1}
	uid, gid, err := ownerOf(path)
	if err != nil {
		return nil, err
	}
	err = unix.Mkfifo(path.Command, 0o600)
	switch {
	case err == nil:
		f.made = true
		if err := os.Lchown(path.Command, uid, gid); err != nil {
			f.close()
			return nil, err
		}
	case !errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("make it: %w", err)
	}
	if f.fd, err = unix.Open(path.Command, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0); err != nil {
		f.close()
		return nil, fmt.Errorf("open it: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Uid != uint32(os.Geteuid()) && st.Uid != uint32(uid) {
		f.made = false
		f.close()
		return nil, errors.New("it is no FIFO of this process's user, nor of the one that the configuration names")
	}
	return f, nil
}

// ownerOf is whose a FIFO is to be; this process's user and group where it does not say.
func ownerOf(path conf.Script) (uid, gid int, err error) {
	uid, gid = os.Geteuid(), os.Getegid()
	if path.User != "" {
		account, err := user.Lookup(path.User)
		if err != nil {
			return 0, 0, err
		}
		if uid, err = strconv.Atoi(account.Uid); err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(account.Gid); err != nil {
			return 0, 0, err
		}
	}
	if path.Group != "" {
		group, err := user.LookupGroup(path.Group)
		if err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(group.Gid); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

func (f *fifo) close() {
	if f == nil {
		return
	}
	if f.made {
		os.Remove(f.path.Command) // first: a reader that opens it again shall not find it
	}
	if f.stop != nil {
		f.stop()
	}
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
}

// write writes a line into the FIFO of its kind and that for all.
func (f *fifos) write(kind fifoKind, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, to := range []*fifo{f.all, f.byKind[kind]} {
		if to != nil {
			f.writeTo(to, line)
		}
	}
}

// writeTo writes a line, which is shorter than PIPE_BUF and so written whole or not at all.
func (f *fifos) writeTo(to *fifo, line string) {
	_, err := unix.Write(to.fd, []byte(line+"\n"))
	if err == nil {
		if to.lost > 0 {
			f.log.Info("a FIFO is read again", "fifo", to.path.Command, "lines_lost", to.lost)
		}
		to.lost = 0
		return
	}
	if to.lost++; to.lost == 1 {
		f.log.Warn("a FIFO has no room, lines are lost", "fifo", to.path.Command, "error", err)
	}
}
