package conn

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
)

// TickLength is the unit of the connections' stamps: 67 ms.
const TickLength = 1 << abi.TickShift * time.Nanosecond

// coarse is the clock that the kernel moves with each jiffy.
const coarse = unix.CLOCK_MONOTONIC_COARSE

// Tick is now in the connections' unit.
func Tick() uint32 { return uint32(monotonic() / TickLength) }

func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(coarse, &t); err != nil {
		panic(fmt.Sprintf("the monotonic clock: %v", err)) // cannot fail on Linux
	}
	return time.Duration(t.Nano())
}

// setClock tells the program how ticks follow from jiffies, once: what is pinned
// does not outlive the kernel, and while that runs both clocks keep step.
func (t *Table) setClock() error {
	var c abi.BpfClock
	if err := t.maps.Clocks.Lookup(uint32(0), &c); err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	if c.Jiffy != 0 {
		return nil
	}
	var jiffy unix.Timespec
	if err := unix.ClockGetres(coarse, &jiffy); err != nil {
		return fmt.Errorf("ask for the length of a jiffy: %w", err)
	}
	c.Jiffy = uint64(jiffy.Nano())
	for { // until both are read in the same jiffy
		var j abi.BpfJiffies
		before := monotonic()
		if _, err := t.programs.Jiffies.Run(&ebpf.RunOptions{Context: j, ContextOut: &j}); err != nil {
			return fmt.Errorf("read jiffies: %w", err)
		}
		if monotonic() == before {
			c.First = j.Now - uint64(before)/c.Jiffy
			break
		}
	}
	if err := t.clocks.Put(0, c); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}
