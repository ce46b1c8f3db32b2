package dataplane

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// cards is what the sweep knows of the connections' cards (bpf/card.h).
type cards struct {
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
	spanLeast = 4096 // SPAN_LEAST (bpf/card.h)
	// cardsAtATime takes some 50 us, and a few hundred if many are due: then the program
	// ends early.
	cardsAtATime = 4096
	sweepDue     = 512 // SWEEP_DUE (bpf/conn.h)
	// lookAtAll is how often a sweep looks at what is not due, too: when a packet and a
	// sweep met, a card may know a later time than its connection. It goes through all
	// cards, wherever they are looked for.
	lookAtAll = time.Minute
)

// sizeCards gives the cards their number: a quarter more than there are connections,
// so that one that is free is found soon.
func sizeCards(spec *ebpf.CollectionSpec, connections uint32) error {
	n := connections + connections/4 + 64
	spec.Maps[abi.BpfMapCards].MaxEntries = n
	return spec.Variables[abi.BpfVarCardCount].Set(n)
}

// begin begins a sweep, in the place of one that is under way.
func (k *cards) begin(epoch uint32, whole bool) {
	k.all = k.all || k.sweeping && k.args.All == 1
	k.sweeping, k.whole, k.begun = true, whole, time.Now()
	k.args = abi.BpfSweep{Epoch: epoch, Now: tick(), Span: k.span}
	if k.all || time.Since(k.seen) > lookAtAll {
		k.args.All, k.all, k.seen = 1, false, time.Now()
	}
}

// sweepCards deletes the connections of some more cards whose time is over. It says
// whether these were the last.
func (p *Plane) sweepCards() (done bool, err error) {
	k := &p.cards
	k.args.Cards, k.args.Due = cardsAtATime, 0
	if _, err := p.sweep.Run(&ebpf.RunOptions{Context: k.args, ContextOut: &k.args}); err != nil {
		return false, fmt.Errorf("sweep the connections: %w", err)
	}
	span := k.args.Span
	k.args.Span = 0
	end := max(k.end, span)
	if k.args.All == 1 {
		end = p.maps.Cards.MaxEntries()
	}
	if k.args.First < end {
		return false, nil
	}
	p.live, k.end, k.span, k.sweeping = int(k.args.Live), k.args.End, 0, false
	if wanted := max(spanLeast, 2*k.args.Live); span > 2*wanted {
		k.span, k.end = wanted, span // until it is set, others are taken
	}
	return true, nil
}
