// Package stats reads what the data plane counts: connections, packets and bytes of
// services and servers, their rates, and the reasons for which packets were dropped.
package stats

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// Counter is what passed since a service or server was added, or zeroed: new
// connections, and packets and bytes, from the IP header on, from the clients (Packets,
// Bytes) and to them where the answers pass the director (OutPackets, OutBytes).
type Counter struct {
	Conns, Packets, Bytes uint64
	OutPackets, OutBytes  uint64
}

func (c Counter) plus(b abi.BpfCounter) Counter {
	return Counter{c.Conns + b.Conns, c.Packets + b.Packets, c.Bytes + b.Bytes, c.OutPackets + b.OutPackets, c.OutBytes + b.OutBytes}
}

func (c Counter) minus(d Counter) Counter {
	return Counter{c.Conns - d.Conns, c.Packets - d.Packets, c.Bytes - d.Bytes, c.OutPackets - d.OutPackets, c.OutBytes - d.OutBytes}
}

// Tally is how a service's or server's counters are read. The data plane only
// ever adds to them, so that zeroing notes where they stood.
type Tally struct {
	zero Counter
	estimator
}

// Tallies are the counters of all services, or of all servers, and where they
// were zeroed, which outlives the process. They guard no Tally: the caller does.
type Tallies struct {
	Stats, Zeros *ebpf.Map
}

// raw is what the data plane has counted, on all CPUs together.
func (t Tallies) raw(index uint32) (Counter, error) {
	var each []abi.BpfCounter
	if err := t.Stats.Lookup(index, &each); err != nil {
		return Counter{}, fmt.Errorf("read the counters: %w", err)
	}
	return total(each), nil
}

// Begin starts the counters of a new service or server at 0.
func (t Tallies) Begin(index uint32, of *Tally) error {
	*of = Tally{}
	return errors.Join(t.Stats.Put(index, make([]abi.BpfCounter, ebpf.MustPossibleCPU())), t.Zeros.Put(index, abi.BpfCounter{}))
}

// startAtOnce is how many counters one call starts: each has a value for each CPU.
const startAtOnce = 512

// Start starts the counters of many new services or servers at 0, whose tallies are new.
func (t Tallies) Start(indexes []uint32) error {
	cpus := ebpf.MustPossibleCPU()
	for some := range slices.Chunk(indexes, startAtOnce) {
		_, err := t.Stats.BatchUpdate(some, make([]abi.BpfCounter, len(some)*cpus), nil)
		if err == nil {
			_, err = t.Zeros.BatchUpdate(some, make([]abi.BpfCounter, len(some)), nil)
		}
		if err != nil {
			return fmt.Errorf("start the counters: %w", err)
		}
	}
	return nil
}

// Adopt goes on with counters that an earlier process left, each of which stands at its index;
// nil is none. Their rates begin anew.
func (t Tallies) Adopt(of []*Tally) error {
	err := t.each(len(of), func(index uint32, now Counter) {
		if of[index] != nil {
			of[index].zero = Counter{}
			of[index].restart(now)
		}
	}, func() {})
	if err != nil {
		return err
	}
	size := min(tallyChunk, len(of))
	indexes, zeros := make([]uint32, size), make([]abi.BpfCounter, size)
	for cursor, met := (ebpf.MapBatchCursor{}), 0; met < len(of); {
		n, err := t.Zeros.BatchLookup(&cursor, indexes, zeros, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // which is the end
			return fmt.Errorf("read where the counters were zeroed: %w", err)
		}
		if n == 0 {
			return nil
		}
		for i, index := range indexes[:n] {
			if int(index) < len(of) && of[index] != nil {
				of[index].zero = Counter{}.plus(zeros[i])
			}
		}
		met += n
	}
	return nil
}

// Reset has the counters count from 0 from now on.
func (t Tallies) Reset(index uint32, of *Tally) error {
	now, err := t.raw(index)
	if err != nil {
		return err
	}
	of.zero = now
	of.restart(now)
	return t.Zeros.Put(index, abi.BpfCounter{
		Conns: now.Conns, Packets: now.Packets, Bytes: now.Bytes, OutPackets: now.OutPackets, OutBytes: now.OutBytes,
	})
}

// Estimate takes the next sample of these rates, each of which stands at its index;
// nil is none. It is called without the lock that guards them; it takes it, reads many
// counters at a time, and releases it in between. It returns whether another sample of
// counters that have not moved would change a rate, or some have moved.
func (t Tallies) Estimate(lock sync.Locker, of []*Tally) (moves bool, err error) {
	lock.Lock()
	defer lock.Unlock()
	err = t.each(len(of), func(index uint32, now Counter) {
		if of[index] != nil {
			moves = of[index].sample(now) || moves
		}
	}, func() {
		lock.Unlock()
		lock.Lock()
	})
	return moves, err
}

// each reads the counters of so many indexes, the first ones, and calls between after some of
// them.
func (t Tallies) each(most int, do func(index uint32, now Counter), between func()) error {
	cpus := ebpf.MustPossibleCPU()
	size := min(tallyChunk, most, int(t.Stats.MaxEntries()))
	indexes, counters := make([]uint32, size), make([]abi.BpfCounter, size*cpus)
	for cursor, met := (ebpf.MapBatchCursor{}), 0; met < most; between() {
		n, err := t.Stats.BatchLookup(&cursor, indexes, counters, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // which is the end
			return fmt.Errorf("read the counters: %w", err)
		}
		if n == 0 {
			return nil
		}
		for i, index := range indexes[:n] {
			if int(index) < most {
				do(index, total(counters[i*cpus:(i+1)*cpus]))
			}
		}
		met += n
	}
	return nil
}

// tallyChunk is how many counters are read at a time.
const tallyChunk = 512

// total is what all CPUs have counted together.
func total(each []abi.BpfCounter) (sum Counter) {
	for _, c := range each {
		sum = sum.plus(c)
	}
	return sum
}

// Read is what was counted since the counters were zeroed.
func (t Tallies) Read(index uint32, of *Tally) (Counter, error) {
	now, err := t.raw(index)
	return now.minus(of.zero), err
}
