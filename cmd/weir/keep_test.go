package main

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWait is how long masterships are kept, by what the next directors do.
func TestWait(t *testing.T) {
	const connects, goes, asks = 'c', 'g', 'a'
	for _, tt := range []struct {
		name  string
		does  []rune // one each second
		ask   byte
		want  time.Duration // until it hands over; 0 is that the process ends first
		exits bool
	}{
		{"nobody comes", nil, 0, keepFor, false},
		{"a director starts, slowly", []rune{connects}, 0, keepMost, false},
		{"one takes over", []rune{connects, ' ', asks}, askTake, 0, true},
		{"one fails to start", []rune{connects, ' ', ' ', goes}, 0, 4*time.Second + keepFailed, false},
		{"the one before ends later", []rune{connects, asks, ' ', ' ', goes}, askStay, 5*time.Second + keepFor, false},
		{"one wants it handed over", []rune{connects, asks}, askHandOver, 2 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var over atomic.Int64
				var exited atomic.Bool
				w := newWait(func() { over.CompareAndSwap(0, int64(time.Since(begun))) })
				w.exit = func() {
					exited.Store(true)
					w.last.Stop()
				}
				here, there := net.Pipe()
				for _, what := range tt.does {
					time.Sleep(time.Second)
					switch what {
					case connects:
						go w.answer(there)
					case goes:
						here.Close()
					case asks:
						here.Write([]byte{tt.ask})
						if tt.ask == askTake {
							here.Read(make([]byte, 1))
						}
					}
				}
				time.Sleep(2 * keepMost)
				here.Close()
				synctest.Wait()
				if got := time.Duration(over.Load()); got != tt.want || exited.Load() != tt.exits {
					t.Errorf("handed over after %v, ended: %t; want %v, %t", got, exited.Load(), tt.want, tt.exits)
				}
			})
		})
	}
}
