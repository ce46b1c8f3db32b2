package pace

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lease is an entry of a BPF table that a Beat renews when it has sent: the first eight bytes of
// its value are the boot time in nanoseconds until which it lasts.
type Lease struct {
	cell *cell
}

// NewLease is the entry of this key in a table, a file descriptor that has to be open during the
// call alone. The entry's value is 16 bytes, the second half of which is rest. The caller has to
// Revoke it.
func NewLease(table int, key uint32, rest uint64) (*Lease, error) {
	own, err := unix.FcntlInt(uintptr(table), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("the leases' table: %w", err)
	}
	memory, err := memoryFor(int(unsafe.Sizeof(cell{})))
	if err != nil {
		_ = unix.Close(own)
		return nil, err
	}
	l := &Lease{(*cell)(unsafe.Pointer(&memory[0]))}
	// A Beat that has it may end later than Revoke.
	runtime.AddCleanup(l, func(memory []byte) { _ = unix.Munmap(memory) }, memory)
	l.cell.key, l.cell.attr.table = key, uint32(own)
	l.cell.attr.key = uint64(uintptr(unsafe.Pointer(&l.cell.key)))
	l.cell.attr.value = uint64(uintptr(unsafe.Pointer(&l.cell.until)))
	l.SetRest(rest)
	return l, nil
}

// SetRest sets the second half of the value that is written from now on.
func (l *Lease) SetRest(rest uint64) { atomic.StoreUint64(&l.cell.rest, rest) }

// Rest is what SetRest has set last.
func (l *Lease) Rest() uint64 { return atomic.LoadUint64(&l.cell.rest) }

// Revoke ends it: when it returns, no Beat renews the entry any more. It is called once.
func (l *Lease) Revoke() {
	atomic.StoreUint32(&l.cell.revoked, 1)
	settle()
	_ = unix.Close(int(l.cell.attr.table))
}
