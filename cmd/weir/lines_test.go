package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a log whose reader takes a line when it is told to.
type slow struct {
	takes chan struct{}
	mu    sync.Mutex
	got   strings.Builder
}

func (s *slow) Write(line []byte) (int, error) {
	<-s.takes
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(line)
}

// A log that nobody reads makes nobody wait; what has no room is counted, and said once.
func TestLogThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{takes: make(chan struct{})}
		q := newLineQueue(out, func(n int) []byte { return fmt.Appendf(nil, "%d lost\n", n) })
		for i := range mostLines + 11 {
			fmt.Fprintf(q, "line %d\n", i)
		}
		begun := time.Now()
		for range 100 {
			out.takes <- struct{}{}
		}
		fmt.Fprintln(q, "one more")
		close(out.takes)
		q.close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("it took %v to write what there was", took)
		}
		out.mu.Lock()
		got := out.got.String()
		out.mu.Unlock()
		if !strings.HasPrefix(got, "line 0\nline 1\n") || !strings.HasSuffix(got, " lost\none more\n") || strings.Count(got, "lost") != 1 {
			t.Errorf("written %q … %q", got[:40], got[len(got)-40:])
		}
		fmt.Fprintln(q, "too late") // nobody waits for it, either
	})
}

// The end of the process waits for a log that hangs, but not for long.
func TestEndWithALogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{takes: make(chan struct{})}
		q := newLineQueue(out, func(int) []byte { return nil })
		fmt.Fprintln(q, "last words")
		begun := time.Now()
		q.close()
		if took := time.Since(begun); took != flushWithin {
			t.Errorf("it waited %v, want %v", took, flushWithin)
		}
		close(out.takes)
	})
}
