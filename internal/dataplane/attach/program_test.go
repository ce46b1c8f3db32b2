package attach

import (
	"runtime"
	"testing"
)

// On a machine with few CPUs one turn to load a program is kept from the programs until it is given
// back, and the caller never waits for it.
func TestSpare(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(atOnce))
	a := &Devices{turns: make(chan struct{}, atOnce)}
	for _, step := range []struct {
		one   bool
		taken int
	}{{false, 0}, {true, 1}, {true, 1}, {false, 0}, {false, 0}} {
		if a.spare(step.one); len(a.turns) != step.taken {
			t.Errorf("after spare(%v) %d turns are taken, want %d", step.one, len(a.turns), step.taken)
		}
	}
	for range atOnce { // as many programs as may be are being loaded
		a.turns <- struct{}{}
	}
	a.spare(true)
	if a.spare(false); len(a.turns) != atOnce {
		t.Errorf("%d turns are taken, want those of the %d programs", len(a.turns), atOnce)
	}
	runtime.GOMAXPROCS(atOnce + 1)
	b := &Devices{turns: make(chan struct{}, atOnce)}
	if b.spare(true); len(b.turns) != 0 {
		t.Error("a turn is kept where there are CPUs enough")
	}
}
