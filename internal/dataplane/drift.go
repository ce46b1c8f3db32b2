package dataplane

import (
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
)

// compareEvery is how often pins and programs are looked at, and contentsAfter after how many
// of these looks the contents of the tables are, too, which nobody reports a change of.
const (
	compareEvery  = time.Second
	contentsAfter = 8
)

// repairSeen puts back what somebody else changed of pins and programs. Before the first state
// is set, there is nothing to compare with.
func (p *Plane) repairSeen() {
	if !p.planned.Load() {
		return
	}
	p.repairing.Lock()
	defer p.repairing.Unlock()
	p.repairPins()
	p.devices.Repair(p.services.Exits(), false)
}

// repairContents is repairSeen, and then compares what is in the tables with what was written, and
// puts back what somebody else changed. Counters and connections are not compared.
func (p *Plane) repairContents() {
	p.repairSeen()
	if !p.planned.Load() {
		return
	}
	p.repairing.Lock()
	defer p.repairing.Unlock()
	p.noteFailure(abi.BpfMapConnSlots, p.conns.RepairTables(func(kind, what string) { p.ledger.Note(kind, what, nil) }))
	p.noteFailure(abi.BpfMapOlderTables, p.takeOver()) // where Set could not do so
	p.noteFailure(abi.BpfMapTables, p.services.RepairTables())
	p.noteFailure(abi.BpfMapLoads, p.services.RepairLimits())
	for _, m := range p.mirrors.All() {
		changed := false
		err := m.Repair(func(name string, err error) {
			changed = true
			p.ledger.Note(m.Kind, name, err)
		})
		p.noteFailure(m.Kind, err)
		if changed && m.Kind == abi.BpfVarFlowKnobs { // with other knobs lines of the cache went elsewhere
			p.noteFailure(m.Kind, p.conns.ForgetFlows())
		}
		if changed && (m.Kind == abi.BpfVarFlowKnobs || m.Kind == abi.BpfVarSlotSizes) { // nor did connections go into the index in force
			p.noteFailure(m.Kind, p.conns.RemakeIndex())
		}
	}
	p.ledger.Done()
}

func (p *Plane) repairPins() {
	p.pins.Repair(func(name string, err error) { p.ledger.Note(kmap.PinKind, name, err) })
}

// noteFailure enters that something could not be compared.
func (p *Plane) noteFailure(what string, err error) {
	if err != nil {
		p.ledger.Note(kmap.CompareKind, what, err)
	}
}
