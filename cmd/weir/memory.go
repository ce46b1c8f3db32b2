package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restAfter is how long after the start, or after the last reload, weir gives back the
	// memory that only that has taken.
	restAfter = 5 * time.Second
	// restPercent is by how many per cent of what is in use the heap may grow then before
	// garbage is collected: there is little of it between two reloads.
	restPercent = 40
	// restLeast is by how many bytes it may grow at least: a process with a small heap would
	// collect for nothing but what looking at the machine takes.
	restLeast = 16 << 20
)

// memory gives back what a start and reloads have taken for a moment. With thousands of
// servers that is more than what is kept.
type memory struct{ rest *time.Timer }

// newMemory is to be called when the start begins.
func newMemory() memory {
	return memory{time.AfterFunc(restAfter, func() {
		debug.FreeOSMemory()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(percentAtRest(live[0].Value.Uint64()))
	})}
}

// percentAtRest is by how many per cent a heap may grow, of which so many bytes are in use.
func percentAtRest(live uint64) int { return max(restPercent, int(100*restLeast/max(live, 1<<20))) }

// taken says that much memory has been taken which is not needed any more.
func (m memory) taken() { m.rest.Reset(restAfter) }
