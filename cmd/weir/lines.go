package main

import (
	"io"
	"sync"
	"time"
)

const (
	// mostLines bounds the lines of the log that wait to be written.
	mostLines = 4096
	// flushWithin is how long the end of the process waits for them.
	flushWithin = 500 * time.Millisecond
)

// lineQueue writes lines without having anybody wait: a pipe that nobody empties, or a disk
// that is full or hangs, costs the lines for which there is no room. They are counted, and
// the next line that is written comes after a word about them.
type lineQueue struct {
	out     io.Writer
	dropped func(n int) []byte // the line that says so
	lines   chan []byte
	idle    chan struct{} // closed when everything is written after close

	mu     sync.Mutex // guards what follows, and that nothing is sent after close
	lost   int
	closed bool
}

// newLineQueue begins to write.
func newLineQueue(out io.Writer, dropped func(n int) []byte) *lineQueue {
	q := &lineQueue{out: out, dropped: dropped, lines: make(chan []byte, mostLines), idle: make(chan struct{})}
	go q.run()
	return q
}

// Write takes one line, and never fails.
func (q *lineQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(line), nil
	}
	if q.lost > 0 && cap(q.lines)-len(q.lines) >= 2 {
		q.lines <- q.dropped(q.lost)
		q.lost = 0
	}
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.lost++
	}
	return len(line), nil
}

func (q *lineQueue) run() {
	defer close(q.idle)
	for line := range q.lines {
		q.out.Write(line) // one that cannot be written has nobody to tell
	}
}

// close writes what waits, for as long as flushWithin at most.
func (q *lineQueue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	select {
	case <-q.idle:
	case <-time.After(flushWithin):
	}
}
