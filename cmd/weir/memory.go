package main

import (
	"runtime/debug"
	"time"
)

const (
	// restAfter is how long after the start, or after the last reload, weir gives back the
	// memory that only that has taken.
	restAfter = 5 * time.Second
	// restPercent is by how many per cent of what is in use the heap may grow then before
	// garbage is collected: there is little of it between two reloads.
	restPercent = 40
)

// memory gives back what a start and reloads have taken for a moment. With thousands of
// servers that is more than what is kept.
type memory struct{ rest *time.Timer }

// newMemory is to be called when the start begins.
func newMemory() memory {
	return memory{time.AfterFunc(restAfter, func() {
		debug.SetGCPercent(restPercent)
		debug.FreeOSMemory()
	})}
}

// taken says that much memory has been taken which is not needed any more.
func (m memory) taken() { m.rest.Reset(restAfter) }
