package pace

import (
	"math"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All in this file runs on a thread that the Go runtime does not know. Nothing of the runtime
// may be used here: no allocation, no channel or mutex, no panic, no write of a pointer, and no
// function that may grow its stack. Each function says so to the compiler, and calls only those
// of this file, kernel, and sync/atomic.

var _ = run // clone calls it

// run sends what is due, and sleeps until there is more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func run() {
	s := &shared.thread
	t := s.table
	for {
		changes := atomic.LoadUint32(&t.changes)
		atomic.AddUint64(&t.passes, 1)
		next := int64(math.MaxInt64)
		for i := uint32(0); i < atomic.LoadUint32(&t.used); i++ {
			b := (*block)(atomic.LoadPointer(&t.slot(i).block))
			if b == nil || atomic.LoadUint32(&b.state) != beating {
				continue
			}
			if now := t.now(); now >= b.next {
				b.beat(t, now)
			}
			if b.next < next && atomic.LoadUint32(&b.state) == beating {
				next = b.next
			}
		}
		atomic.AddUint64(&t.passes, 1)
		t.sleep(changes, next)
	}
}

// now is the clock of the leases, in nanoseconds of boot time: it goes on while the machine
// sleeps.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *table) now() int64 {
	kernel(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t.clock)), 0, 0, 0, 0)
	return t.clock.seconds*1e9 + t.clock.nanoseconds
}

// sleep waits until next, or until there have been other changes than these.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *table) sleep(changes uint32, next int64) {
	const futexWaitPrivate = 128
	timeout := uintptr(0)
	if next != math.MaxInt64 {
		left := next - t.now()
		if left <= 0 {
			return
		}
		t.rest.seconds, t.rest.nanoseconds = left/1e9, left%1e9
		timeout = uintptr(unsafe.Pointer(&t.rest))
	}
	kernel(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&t.changes)), futexWaitPrivate, uintptr(changes), timeout, 0, 0)
}

// beat sends the packets whose time has come and renews the lease, in this order.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *block) beat(t *table, now int64) {
	burst := atomic.LoadUint64(&b.begun)
	switch {
	case now-b.last >= b.limit:
		atomic.StoreInt64(&b.late, now-b.last)
		atomic.StoreUint32(&b.state, stalled)
		return
	case burst >= atomic.LoadUint64(&b.ready):
		atomic.StoreUint32(&b.state, dry)
		return
	}
	b.last, b.next = now, now+b.every
	sent, failure := uint32(0), uintptr(0)
	for i := uint32(0); i < b.targets; i++ {
		packet, to := b.packet(burst, i), b.address(i)
		result := kernel(unix.SYS_SENDTO, uintptr(b.socket), uintptr(packet), uintptr(b.length),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(to), uintptr(b.addressLen))
		if int(result) >= 0 {
			sent++
		} else {
			failure = -result
		}
	}
	if sent > 0 {
		b.renew(now)
		atomic.StoreInt64(&b.failing, 0)
	} else if atomic.LoadInt64(&b.failing) == 0 {
		atomic.StoreInt64(&b.failing, now)
	}
	if sent > 0 {
		atomic.AddUint64(&b.sent, 1)
	} else {
		atomic.AddUint64(&b.failed, 1)
	}
	atomic.StoreUint64(&b.errno, uint64(failure))
	atomic.StoreUint64(&b.begun, burst+1)
}

// renew writes the lease into its table.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *block) renew(now int64) {
	c := (*cell)(atomic.LoadPointer(&b.cell))
	if c == nil || atomic.LoadUint32(&c.revoked) != 0 {
		return
	}
	const mapUpdateElement = 2
	c.until = uint64(now + b.limit)
	result := kernel(unix.SYS_BPF, mapUpdateElement, uintptr(unsafe.Pointer(&c.attr)), unsafe.Sizeof(c.attr), 0, 0, 0)
	atomic.StoreUint64(&b.leaseErrno, uint64(-result))
}

// slot is one place of the table.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *table) slot(i uint32) *slot {
	return (*slot)(unsafe.Add(unsafe.Pointer(&t.slots), uintptr(i)*unsafe.Sizeof(slot{})))
}

// packet is a burst's packet for one target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *block) packet(burst uint64, target uint32) unsafe.Pointer {
	i := burst%b.bursts*uint64(b.targets) + uint64(target)
	return unsafe.Add(unsafe.Pointer(b), uint64(b.packets)+i*uint64(b.length))
}

// address is where the packets for one target go.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *block) address(target uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(b), uint64(b.addresses)+uint64(target)*uint64(b.addressLen))
}
