// Package pace sends packets at their times, and renews leases, by a thread that nothing else in
// the process holds up: neither the Go runtime, which does not know it, nor any lock. It stops
// by itself where it comes too late (Limit), and where no more packets are ready.
package pace

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Plan says what a Beat sends.
type Plan struct {
	Socket    int           // a file descriptor, which stays open until Stop
	Addresses [][]byte      // the kernel's sockaddr of each target
	Every     time.Duration // from one burst, a packet for each target, to the next
	// Last is when a burst was sent last; the first one is due Every after it.
	Last time.Time
	// Limit is how long after a burst no more may be sent: others have taken over then. It is
	// also how long a lease lasts.
	Limit time.Duration
	// Bursts are those that are sent first: for each target one packet. All packets are of
	// one length. There is room for as many at a time.
	Bursts [][][]byte
	// Repeat is how often the one burst is sent, where it stays the same; 0 is that each is
	// sent once.
	Repeat int
	Lease  *Lease // nil is none
}

// Beat is a Plan that is carried out.
type Beat struct {
	memory []byte
	block  *block
	lease  *Lease
}

// Report is what a Beat has done since it was started.
type Report struct {
	Sent, Failed uint64        // bursts; one that reached a target was sent
	Last         time.Time     // when the last one was sent, or tried; zero before the first
	Err          error         // of a target of the last burst
	Failing      time.Time     // when the first of the last bursts failed of which none was sent; zero is none
	LeaseErr     error         // of the last renewal
	Late         time.Duration // how long after the last burst the thread came, where it has stopped for that
	Room         int           // how many bursts it would take
	Ended        bool          // it has stopped by itself
}

// Start begins. An error says that the thread cannot do it; the caller has to send by itself.
func Start(p Plan) (*Beat, error) {
	if err := begin(); err != nil {
		return nil, err
	}
	first, address := p.Bursts[0][0], p.Addresses[0]
	addresses := int(unsafe.Sizeof(block{}))
	packets := addresses + len(p.Addresses)*len(address)
	memory, err := memoryFor(packets + len(p.Bursts)*len(p.Addresses)*len(first))
	if err != nil {
		return nil, err
	}
	b := &Beat{memory: memory, block: (*block)(unsafe.Pointer(&memory[0])), lease: p.Lease}
	now := bootTime()
	last := now - int64(time.Since(p.Last))
	*b.block = block{
		state: beating, targets: uint32(len(p.Addresses)), socket: uint32(p.Socket),
		length: uint32(len(first)), addressLen: uint32(len(address)), addresses: uint32(addresses), packets: uint32(packets),
		bursts: uint64(len(p.Bursts)), every: int64(p.Every), limit: int64(p.Limit), last: last, next: last + int64(p.Every),
	}
	if p.Lease != nil {
		b.block.cell = unsafe.Pointer(p.Lease.cell)
	}
	for i, a := range p.Addresses {
		copy(memory[addresses+i*len(address):], a)
	}
	b.Extend(p.Bursts)
	if p.Repeat > 0 {
		b.Allow(p.Repeat)
	}
	if err := shared.thread.table.add(b.block); err != nil {
		return nil, errors.Join(err, unix.Munmap(memory))
	}
	return b, nil
}

// Extend adds bursts, at most as many as there is room for.
func (b *Beat) Extend(bursts [][][]byte) {
	k := b.block
	for _, burst := range bursts {
		ready := atomic.LoadUint64(&k.ready)
		for i, packet := range burst {
			at := uint64(k.packets) + (ready%k.bursts*uint64(k.targets)+uint64(i))*uint64(k.length)
			copy(b.memory[at:at+uint64(k.length)], packet)
		}
		atomic.StoreUint64(&k.ready, ready+1)
	}
}

// Allow has the burst that stays the same sent so often from now on.
func (b *Beat) Allow(times int) {
	atomic.StoreUint64(&b.block.ready, atomic.LoadUint64(&b.block.begun)+uint64(times))
}

// Report tells what was done until now.
func (b *Beat) Report() Report {
	k := b.block
	r := Report{
		Sent: atomic.LoadUint64(&k.sent), Failed: atomic.LoadUint64(&k.failed),
		Late: time.Duration(atomic.LoadInt64(&k.late)),
		Room: int(k.bursts - (atomic.LoadUint64(&k.ready) - atomic.LoadUint64(&k.begun))),
		Err:  errorOf(atomic.LoadUint64(&k.errno)), LeaseErr: errorOf(atomic.LoadUint64(&k.leaseErrno)),
		Ended: atomic.LoadUint32(&k.state) >= stalled,
	}
	now, boot := time.Now(), bootTime()
	if last := atomic.LoadInt64(&k.last); r.Sent+r.Failed > 0 {
		r.Last = now.Add(time.Duration(last - boot))
	}
	if failing := atomic.LoadInt64(&k.failing); failing != 0 {
		r.Failing = now.Add(time.Duration(failing - boot))
	}
	return r
}

// Stop ends it, and tells what was done. Nothing is sent any more when it returns. It is
// called once, and nothing else after it.
func (b *Beat) Stop() Report {
	table := shared.thread.table
	ended := atomic.LoadUint32(&b.block.state) >= stalled
	table.remove(b.block)
	r := b.Report()
	r.Ended = ended || r.Late > 0
	_ = unix.Munmap(b.memory) // cannot fail: the memory is whole and its own
	b.block, b.memory = nil, nil
	return r
}

func errorOf(errno uint64) error {
	if errno == 0 {
		return nil
	}
	return unix.Errno(errno)
}

// bootTime is the thread's clock.
func bootTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("the boot-time clock: %v", err)) // cannot fail on Linux
	}
	return t.Nano()
}
