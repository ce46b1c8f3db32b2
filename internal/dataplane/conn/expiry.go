package conn

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// expiry is what the sweep knows of the slots of connections (conn/slots.h of bpf/).
type expiry struct {
	end  uint32    // behind the last one that the last sweep met
	span uint32    // among how many the next sweep has them looked for; 0: as it is
	all  bool      // the next sweep looks at every connection
	seen time.Time // when one last did

	sweeping bool // a sweep has begun and not ended
	whole    bool // it is of more than the connections
	begun    time.Time
	args     abi.BpfSweep // where it is, and what it has met
}

const (
	// entriesAtATime is how many slots one run of the program looks at. A run
	// takes some 50 us, or a few hundred where many are due; the program then
	// ends early.
	entriesAtATime = 4096
	// lookAtAll is how often a sweep looks at what is not due, too: when a packet and a
	// sweep met, a slot may know a later time than its connection has. It goes
	// through all slots, wherever free ones are looked for.
	lookAtAll = time.Minute
)

// begin begins a sweep, in place of one that has not ended.
func (k *expiry) begin(epoch uint32, whole bool) {
	k.all = k.all || k.sweeping && k.args.All == 1
	k.sweeping, k.whole, k.begun = true, whole, time.Now()
	k.args = abi.BpfSweep{Epoch: epoch, Now: Tick(), Span: k.span}
	if k.all || time.Since(k.seen) > lookAtAll {
		k.args.All, k.all, k.seen = 1, false, time.Now()
	}
}

// sweepExpiry looks at some more slots and deletes the connections whose time
// is over. It says whether these were the last.
func (t *Table) sweepExpiry() (done bool, err error) {
	k := &t.expiry
	k.args.Entries, k.args.Due = entriesAtATime, 0
	if _, err := t.programs.Sweep.Run(&ebpf.RunOptions{Context: k.args, ContextOut: &k.args}); err != nil {
		return false, fmt.Errorf("sweep the connections: %w", err)
	}
	span := k.args.Span
	k.args.Span = 0
	end := max(k.end, span)
	if k.args.All == 1 {
		end = t.entries()
	}
	if k.args.First < end {
		return false, nil
	}
	t.live.Store(int64(k.args.Live))
	k.end, k.span, k.sweeping = k.args.End, 0, false
	if wanted := max(abi.SpanLeast, 2*k.args.Live); span > 2*wanted {
		k.span, k.end = wanted, span // until it is set, others are taken
	}
	return true, err
}

// Span is how many slots the next sweep looks at: up to the last one that may
// be taken.
func (t *Table) Span() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.expiry.end)
}
