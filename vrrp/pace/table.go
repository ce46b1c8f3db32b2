package pace

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the thread reads and writes is in memory that is not Go's: the collector neither moves
// nor scans it, and it is not swapped out where the machine lets it be locked.

// states of a block.
const (
	halted  = iota // by Stop
	beating        // the thread sends
	stalled        // the thread came too late, and sends no more
	dry            // no packets were ready, and the thread sends no more
)

const (
	slots     = 1024
	stackSize = 64 << 10
)

type timespec struct{ seconds, nanoseconds int64 }

// slot is where the thread finds a block.
type slot struct {
	block unsafe.Pointer // *block; nil is a free slot
}

// table is what the thread goes through.
type table struct {
	changes uint32   // the thread sleeps on it (futex); each new block adds one
	used    uint32   // no slot from this one on was ever taken
	passes  uint64   // odd while the thread looks at the slots
	clock   timespec // the thread's alone
	rest    timespec // the thread's alone
	slots   [slots]slot
}

// block is what one Beat sends. Addresses and packets follow it.
type block struct {
	state        uint32
	targets      uint32
	socket       uint32
	length       uint32 // of each packet
	addressLen   uint32
	addresses    uint32 // where they begin, counted from the block
	packets      uint32
	_            uint32
	bursts       uint64 // how many there is room for
	begun, ready uint64 // how many were sent, or tried, and prepared, since the beginning

	every, limit int64 // nanoseconds
	next, last   int64 // boot time; the thread's alone once it beats
	cell         unsafe.Pointer
	late         int64 // how long after the last packet the thread came, where it has stalled

	sent, failed uint64 // bursts
	failing      int64  // when the first of the last bursts failed of which none was sent; 0 is none
	errno        uint64 // of the last burst
	leaseErrno   uint64
}

// cell is a lease in a BPF table: the attributes of BPF_MAP_UPDATE_ELEM, and what they point to.
// Its value is until and rest.
type cell struct {
	attr struct {
		table, _          uint32
		key, value, flags uint64
	}
	key     uint32
	revoked uint32
	until   uint64 // the thread's alone
	rest    uint64
}

// shared is the one thread of the process.
var shared struct {
	once     sync.Once
	err      error
	thread   thread
	mu       sync.Mutex // guards which slots are taken
	priority int        // that SetPriority has set; guarded by mu
}

type thread struct {
	table *table
	tid   int
}

// begin starts the thread unless it runs.
func begin() error {
	shared.once.Do(func() {
		if !native {
			shared.err = fmt.Errorf("no thread of its own on %s", runtime.GOARCH)
			return
		}
		// A goroutine of its own: the caller's thread may be in a namespace.
		done := make(chan error)
		go func() { done <- start() }()
		shared.err = <-done
	})
	return shared.err
}

func start() error {
	memory, err := memoryFor(int(unsafe.Sizeof(table{})) + stackSize)
	if err != nil {
		return err
	}
	t := (*table)(unsafe.Pointer(&memory[0]))
	shared.thread.table = t
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	top := uintptr(unsafe.Pointer(&memory[0])) + uintptr(len(memory)) // a page's end

	// A signal that came to the thread would run Go's handler there.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	tid := clone(flags, top)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		return fmt.Errorf("take signals again: %w", err)
	}
	if tid < 0 {
		return fmt.Errorf("make a thread: %w", unix.Errno(-tid))
	}
	shared.mu.Lock()
	shared.thread.tid = tid
	raise(tid)
	shared.mu.Unlock()
	_ = os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", tid), []byte("weir-adverts"), 0) // its name helps people alone
	return nil
}

// memoryFor is zeroed memory that is not Go's, rounded up to whole pages.
func memoryFor(size int) ([]byte, error) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("memory for adverts: %w", err)
	}
	_ = unix.Mlock(memory) // where RLIMIT_MEMLOCK allows it
	return memory, nil
}

// add gives a block to the thread.
func (t *table) add(b *block) error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for i := range uint32(slots) {
		if t.slots[i].block != nil {
			continue
		}
		atomic.StorePointer(&t.slots[i].block, unsafe.Pointer(b))
		if i >= t.used {
			atomic.StoreUint32(&t.used, i+1)
		}
		atomic.AddUint32(&t.changes, 1)
		const futexWakePrivate = 129
		unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&t.changes)), futexWakePrivate, 1) // no thread sleeps, or one wakes
		return nil
	}
	return fmt.Errorf("adverts of %d instances are sent already", slots)
}

// remove takes a block from the thread, which is not at it any more when remove returns.
func (t *table) remove(b *block) {
	atomic.StoreUint32(&b.state, halted)
	shared.mu.Lock()
	for i := range t.slots {
		if t.slots[i].block == unsafe.Pointer(b) {
			atomic.StorePointer(&t.slots[i].block, nil)
		}
	}
	shared.mu.Unlock()
	settle()
}

// settle waits until the thread looks at nothing that it saw before the call.
func settle() {
	t := shared.thread.table
	if t == nil {
		return
	}
	if pass := atomic.LoadUint64(&t.passes); pass%2 == 1 {
		for atomic.LoadUint64(&t.passes) == pass {
			runtime.Gosched()
		}
	}
}
