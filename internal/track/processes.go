package track

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// processes are the machine's, for any number of trackers. While somebody watches, the
// kernel's process connector tells when one begins, ends, or gets another name; where there
// is no connector, in a network namespace of its own, /proc is read every lookEvery. The zero
// value is ready.
type processes struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool
	end      func() // of the watch
	list     []process
	read     bool // list is what there is
}

const (
	// lookEvery is how often /proc is read where nobody tells of changes.
	lookEvery = 200 * time.Millisecond
	// gather is for how long changes are gathered before /proc is read for them: a shell
	// script makes many processes.
	gather = 20 * time.Millisecond
)

// count counts the processes that match.
func (p *processes) count(s *processSpec) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.read || p.end == nil {
		p.list, p.read = listProcesses(), true
	}
	for _, one := range p.list {
		if s.matches(one) {
			n++
		}
	}
	return n
}

// join has a channel told of changes until leave is called.
func (p *processes) join(log *slog.Logger) (changed <-chan struct{}, leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan struct{}, 1)
	if p.watchers == nil {
		p.watchers = map[chan struct{}]bool{}
	}
	p.watchers[c] = true
	if p.end == nil {
		p.read = false
		p.end = p.watch(log)
	}
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.watchers, c); len(p.watchers) == 0 {
			p.end()
			p.end = nil
		}
	}
}

// changed tells all watchers that processes have come or gone.
func (p *processes) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = false
	for c := range p.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// watch tells of changes until its end is called.
func (p *processes) watch(log *slog.Logger) (end func()) {
	stop := make(chan struct{})
	listener, err := listenToProcesses()
	if err != nil {
		log.Info("processes are looked for again and again", "why", err, "every", lookEvery)
		go p.poll(stop)
		return func() { close(stop) }
	}
	go p.listen(listener, stop)
	return func() {
		close(stop)
		listener.Close()
	}
}

func (p *processes) poll(stop <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.changed()
		}
	}
}

// listen reads the connector's messages. A look is never later than gather after a change.
func (p *processes) listen(listener *os.File, stop <-chan struct{}) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := listener.Read(buffer)
		select {
		case <-stop:
			return
		default:
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // messages were lost: look, too
			p.poll(stop)
			return
		}
		if err != nil || tells(buffer[:n]) {
			time.Sleep(gather)
			p.changed()
		}
	}
}

// The process connector (linux/connector.h, linux/cn_proc.h).
const (
	cnIdxProc, cnValProc = 1, 1
	procCNMcastListen    = 1
	sizeofNlmsg          = 16
	sizeofCnMsg          = 20
)

// The events that may change a count (enum proc_cn_event): begun, another program, another
// name, ended.
const (
	procEventFork = 0x1
	procEventExec = 0x2
	procEventComm = 0x200
	procEventExit = 0x80000000
)

// tells says whether netlink messages tell of an event that may change a count.
func tells(b []byte) bool {
	for len(b) >= sizeofNlmsg+sizeofCnMsg+4 {
		length := int(binary.NativeEndian.Uint32(b))
		switch binary.NativeEndian.Uint32(b[sizeofNlmsg+sizeofCnMsg:]) {
		case procEventFork, procEventExec, procEventComm, procEventExit:
			return true
		}
		next := (max(length, sizeofNlmsg) + 3) &^ 3
		if next >= len(b) {
			return false
		}
		b = b[next:]
	}
	return false
}

// listenToProcesses opens the process connector, which only the first network namespace has.
func listenToProcesses() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open the process connector: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc})
	if err == nil {
		var m bytes.Buffer
		for _, v := range []any{
			uint32(sizeofNlmsg + sizeofCnMsg + 4), uint16(unix.NLMSG_DONE), uint16(0), uint32(0), uint32(0),
			uint32(cnIdxProc), uint32(cnValProc), uint32(0), uint32(0), uint16(4), uint16(0), uint32(procCNMcastListen),
		} {
			_ = binary.Write(&m, binary.NativeEndian, v) // into memory
		}
		err = unix.Sendto(fd, m.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen to the process connector: %w", err)
	}
	return os.NewFile(uintptr(fd), "process connector"), nil
}

// listProcesses reads /proc. Processes that end meanwhile are left out, and so are zombies
// and the kernel's threads.
func listProcesses() (list []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		cmdline, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || len(cmdline) == 0 {
			continue
		}
		comm, err := os.ReadFile("/proc/" + e.Name() + "/comm")
		if err != nil {
			continue
		}
		argv := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
		list = append(list, process{name: strings.TrimSuffix(string(comm), "\n"), argv: argv})
	}
	return list
}
