package conn

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// cards is what the sweep knows of the connections' cards (bpf/card.h).
type expiry struct {
	end  uint32    // behind the last one that the last sweep met
	span uint32    // among how many the next sweep has them looked for; 0: as it is
	all  bool      // the next sweep looks at every connection
	seen time.Time // when one last did

	sweeping bool // one is under way:
	whole    bool // of more than cards
	begun    time.Time
	args     abi.BpfSweep // where it is, and what it has met
}

const (
	// cardsAtATime takes some 50 us, and a few hundred if many are due: then the program
	// ends early.
	cardsAtATime = 4096
	// lookAtAll is how often a sweep looks at what is not due, too: when a packet and a
	// sweep met, a card may know a later time than its connection. It goes through all
	// cards, wherever they are looked for.
	lookAtAll = time.Minute
)

// Size gives the tables of connections their sizes.
func Size(spec *ebpf.CollectionSpec, connections uint32) error {
	if err := sizeExpiry(spec, connections); err != nil {
		return fmt.Errorf("size the expiry entries: %w", err)
	}
	spec.Maps[abi.BpfMapConns].MaxEntries = connections
	spec.Maps[abi.BpfMapHalfOpens].MaxEntries = max(1, connections/6)
	if err := sizeFlows(spec, connections); err != nil {
		return fmt.Errorf("size the flow cache: %w", err)
	}
	return nil
}

// sizeExpiry gives the cards their number: a quarter more than there are connections,
// so that one that is free is found soon.
func sizeExpiry(spec *ebpf.CollectionSpec, connections uint32) error {
	n := connections + connections/4 + 64
	spec.Maps[abi.BpfMapCards].MaxEntries = n
	return spec.Variables[abi.BpfVarCardCount].Set(n)
}

// begin begins a sweep, in the place of one that is under way.
func (k *expiry) begin(epoch uint32, whole bool) {
	k.all = k.all || k.sweeping && k.args.All == 1
	k.sweeping, k.whole, k.begun = true, whole, time.Now()
	k.args = abi.BpfSweep{Epoch: epoch, Now: Tick(), Span: k.span}
	if k.all || time.Since(k.seen) > lookAtAll {
		k.args.All, k.all, k.seen = 1, false, time.Now()
	}
}

// sweepCards deletes the connections of some more cards whose time is over. It says
// whether these were the last.
func (t *Table) sweepExpiry() (done bool, err error) {
	k := &t.expiry
	k.args.Cards, k.args.Due = cardsAtATime, 0
	if _, err := t.programs.Sweep.Run(&ebpf.RunOptions{Context: k.args, ContextOut: &k.args}); err != nil {
		return false, fmt.Errorf("sweep the connections: %w", err)
	}
	span := k.args.Span
	k.args.Span = 0
	end := max(k.end, span)
	if k.args.All == 1 {
		end = t.maps.Cards.MaxEntries()
	}
	if k.args.First < end {
		return false, nil
	}
	t.live.Store(int64(k.args.Live))
	k.end, k.span, k.sweeping = k.args.End, 0, false
	if wanted := max(abi.SpanLeast, 2*k.args.Live); span > 2*wanted {
		k.span, k.end = wanted, span // until it is set, others are taken
	}
	return true, nil
}

// Span is how many expiry entries the next sweep looks at: up to the last one that may
// be taken.
func (t *Table) Span() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.expiry.end)
}
