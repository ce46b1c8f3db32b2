package check

import (
	"context"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Connector is a Checker whose try may be that a TCP connection comes about, and no more. The
// Runners of a crew make such tries together, by fewer system calls than Check takes.
type Connector interface {
	Checker
	// Connects returns how to connect for the try that is to be made now, or nil where Check is
	// to be called. It returns at once.
	Connects() *TCP
}

// Connects is the check itself.
func (c *TCP) Connects() *TCP { return c }

// dial is a connection that has begun. Whoever takes it closes it and tells its Runner.
type dial struct {
	of       *polling
	tcp      *TCP
	fd       int
	to       unix.Sockaddr
	deadline entry[*dial]

	// Guarded by the mu of dials: taken says that somebody has, and number tells it from those
	// that had the same fd before, for which it waits by epoll; 0 before.
	taken  bool
	number int32
}

// dials waits for the answers to the connections of a crew. While it waits for some it holds one
// goroutine, and one file for as long as the crew lasts.
type dials struct {
	deadlines *agenda[*dial]

	mu      sync.Mutex
	epoll   *os.File      // guarded by mu; nil before the first answer is waited for
	fd      int           // guarded by mu: the epoll's
	waiting map[int]*dial // guarded by mu, by fd
	number  int32         // guarded by mu: the last dial's
	reading bool          // guarded by mu: the goroutine runs
	ended   bool          // guarded by mu
}

func newDials() *dials {
	d := &dials{waiting: map[int]*dial{}}
	d.deadlines = newAgenda(later, func(late []*dial) {
		for _, one := range late {
			if d.take(one) {
				_ = unix.Close(one.fd)
				one.of.answered(os.ErrDeadlineExceeded)
			}
		}
	})
	return d
}

// atOnce is how many connections are begun before the first answers are looked for.
const atOnce = 64

// settle tells the Runners of those dials that are answered already, which on a fast network are
// most of them, and has the others waited for.
func (d *dials) settle(all []*dial) {
	if len(all) == 0 {
		return
	}
	var files [atOnce]unix.PollFd
	fds := files[:len(all)]
	for i, one := range all {
		fds[i] = unix.PollFd{Fd: int32(one.fd), Events: unix.POLLOUT}
	}
	_, _ = unix.Poll(fds, 0) // where that fails, all are waited for
	for i, one := range all {
		if fds[i].Revents != 0 {
			d.answer(one, fds[i].Revents&^unix.POLLOUT != 0)
		} else if err := d.wait(one); err != nil {
			d.fail(one, err)
		}
	}
}

// answer finds out what became of a dial that is answered, and tells its Runner.
func (d *dials) answer(one *dial, failed bool) {
	if !d.take(one) {
		return
	}
	var err error
	if failed {
		err = os.NewSyscallError("connect", outcome(one.fd, one.to))
	}
	if err == nil {
		resetAtClose(one.fd)
	}
	_ = unix.Close(one.fd)
	one.of.answered(err)
}

// fail tells the Runner of a dial that cannot be waited for.
func (d *dials) fail(one *dial, err error) {
	if d.take(one) {
		_ = unix.Close(one.fd)
		one.of.answered(err)
	}
}

// take says whether nobody else has taken the dial: the caller is to.
func (d *dials) take(one *dial) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one.taken {
		return false
	}
	one.taken = true
	if one.number != 0 {
		delete(d.waiting, one.fd)
		d.deadlines.remove(&one.deadline)
	}
	return true
}

// wait has a dial be answered later, unless it is taken.
func (d *dials) wait(one *dial) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one.taken {
		return nil
	}
	if d.ended {
		return context.Canceled
	}
	if err := d.open(); err != nil {
		return err
	}
	d.number = max(1, d.number+1)
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(one.fd), Pad: d.number}
	if err := unix.EpollCtl(d.fd, unix.EPOLL_CTL_ADD, one.fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	one.number = d.number
	d.waiting[one.fd] = one
	if one.tcp.Timeout > 0 {
		one.deadline.of = one
		d.deadlines.put(&one.deadline, one.tcp.Timeout)
	}
	if !d.reading {
		d.reading = true
		go d.read(d.epoll)
	}
	return nil
}

// open makes the epoll file where there is none. The caller holds mu.
func (d *dials) open() error {
	if d.epoll != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // the runtime waits for it then
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	d.epoll, d.fd = os.NewFile(uintptr(fd), "epoll"), fd
	return nil
}

// read hands out answers until none is waited for, or the file is closed.
func (d *dials) read(epoll *os.File) {
	conn, err := epoll.SyscallConn()
	if err != nil {
		return // closed
	}
	var events [atOnce]unix.EpollEvent
	_ = conn.Read(func(fd uintptr) (done bool) {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return d.idle()
			}
			for _, e := range events[:n] {
				if one := d.find(e); one != nil {
					d.answer(one, e.Events&^unix.EPOLLOUT != 0)
				}
			}
		}
	})
}

// idle says whether no answer is waited for any more: the goroutine then ends.
func (d *dials) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reading = len(d.waiting) > 0
	return !d.reading
}

// find is the dial that an event is of, or nil where it is no longer waited for.
func (d *dials) find(e unix.EpollEvent) *dial {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.waiting[int(e.Fd)]; one != nil && one.number == e.Pad {
		return one
	}
	return nil
}

// end closes the file. No dial is waited for any more.
func (d *dials) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.epoll != nil {
		_ = d.epoll.Close()
	}
	d.deadlines.end()
}
