package vrrp

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"weir/vrrp/pace"
)

// paced are the adverts that a Link sends by itself.
type paced struct {
	beat   *pace.Beat // nil once it has ended
	last   pace.Report
	link   *Link
	advert Advertisement
	every  time.Duration
	// stamps are those of the adverts that are ready; empty where all are the same. done is how
	// many adverts were taken off them.
	stamps []stamp
	done   uint64
	due    time.Time // when the last one that is ready is to be sent
	old    bool      // they have the old checksum
}

// Pace implements Pacer.
func (l *Link) Pace(p Pacing) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paced.stop()
	l.paced = nil
	socket, err := fileOf(l.send)
	if err != nil {
		return false // closed
	}
	s := &paced{link: l, advert: p.Advert, every: p.Every, due: p.Last, old: l.wire.old.Load()}
	n := adverts(p.Every)
	plan := pace.Plan{Socket: socket, Every: p.Every, Last: p.Last, Limit: p.Limit, Lease: p.Lease}
	for _, target := range l.targets {
		plan.Addresses = append(plan.Addresses, sockaddr(target, l.sender.Index))
	}
	if !l.wire.stamps() {
		plan.Repeat, n = n, 1
	}
	if plan.Bursts, err = s.prepare(n); err != nil {
		return false
	}
	if s.beat, err = pace.Start(plan); err != nil {
		l.noteUnpaced(err)
		return false
	}
	l.paced = s
	return true
}

// noteUnpaced logs once that adverts are not sent by a thread of their own.
func (l *Link) noteUnpaced(err error) {
	if !l.unpaced {
		l.unpaced = true
		l.log.Warn("vrrp adverts have no thread of their own: what holds this process up delays them", "error", err)
	}
}

// Paced implements Pacer.
func (l *Link) Paced(end bool) (pace.Report, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.paced
	switch {
	case s == nil:
		return pace.Report{}, false
	case s.beat == nil: // by Reopen
	case end:
		s.stop()
	default:
		s.goOn()
	}
	if s.beat == nil {
		l.paced = nil
	}
	r := s.last
	r.Err = l.news(r)
	return r, true
}

// news is what there is to say of a target that Send has not said: that it cannot be sent to, or
// can again. Send is to be called then.
func (l *Link) news(r pace.Report) error {
	for _, text := range l.failing {
		switch {
		case text == "":
		case r.Err != nil && r.Failing.IsZero():
			return nil // as it was
		case r.Err == nil && r.Sent > 0:
			return errors.New("sent again")
		}
	}
	return r.Err
}

// goOn takes in what was sent, and prepares more.
func (s *paced) goOn() {
	r := s.beat.Report()
	s.take(r)
	switch {
	case r.Ended || s.old != s.link.wire.old.Load():
		s.stop()
	case !s.link.wire.stamps():
		s.beat.Allow(adverts(s.every))
	default:
		if more, err := s.prepare(r.Room); err == nil {
			s.beat.Extend(more)
		}
	}
}

// take notes the stamps that were used.
func (s *paced) take(r pace.Report) {
	s.last = r
	for n := r.Sent + r.Failed; s.done < n; s.done++ {
		if len(s.stamps) > 0 {
			s.link.wire.use(s.stamps[0])
			s.stamps = s.stamps[1:]
		}
	}
}

// stop ends it.
func (s *paced) stop() {
	if s == nil || s.beat == nil {
		return
	}
	s.take(s.beat.Stop())
	s.last.Ended, s.beat = true, nil
}

// prepare makes the packets of the next adverts.
func (s *paced) prepare(n int) (bursts [][][]byte, err error) {
	w := s.link.wire
	last := w.used()
	if len(s.stamps) > 0 {
		last = s.stamps[len(s.stamps)-1]
	}
	for range n {
		s.due = s.due.Add(s.every)
		if now := time.Now(); s.due.Before(now) {
			s.due = now
		}
		last = w.after(last, s.due)
		var burst [][]byte
		for _, target := range s.link.targets {
			packet, err := w.packet(s.advert, target, last)
			if err != nil {
				return nil, err
			}
			burst = append(burst, packet)
		}
		if bursts = append(bursts, burst); w.stamps() {
			s.stamps = append(s.stamps, last)
		}
	}
	return bursts, nil
}

// fileOf is a socket's file descriptor, which stays valid until it is closed.
func fileOf(c net.PacketConn) (fd int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(f uintptr) { fd = int(f) })
	return fd, err
}

// sockaddr is an address as the kernel takes it (sockaddr_in, sockaddr_in6). A link-local one is
// of the interface with this number.
func sockaddr(a netip.Addr, index int) []byte {
	if a.Is4() {
		raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.As4()}
		return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)...)
	}
	raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16()}
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
		raw.Scope_id = uint32(index)
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet6)...)
}
