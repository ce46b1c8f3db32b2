package cluster

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watchEachCPU is watchLateness by one thread for each CPU: what holds up the one that a program
// is on need not hold up another.
func watchEachCPU(t testing.TB) *lateness {
	l := &lateness{}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	for cpu := range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread() // it ends with the goroutine
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				t.Error(err)
				return
			}
			l.watch(done)
		}()
	}
	return l
}

// watch measures until done.
func (l *lateness) watch(done <-chan struct{}) {
	const nap = 2 * time.Millisecond
	for {
		select {
		case <-done:
			return
		default:
		}
		begun, rest := time.Now(), unix.NsecToTimespec(int64(nap))
		_ = unix.Nanosleep(&rest, nil) // a signal ends it early, which is not late
		late := int64(time.Since(begun) - nap)
		for longest := l.longest.Load(); late > longest && !l.longest.CompareAndSwap(longest, late); {
			longest = l.longest.Load()
		}
	}
}
