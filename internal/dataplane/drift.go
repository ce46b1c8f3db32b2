package dataplane

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// compareEvery is how often the kernel is compared with what was written.
const compareEvery = time.Second

// The kinds of drift beside those of the tables, which have the tables' names.
const (
	driftAttachment = "attachments"
	driftPin        = "pins"
	driftCompare    = "comparisons" // what could not be looked at
)

// repairDrift compares what is in the kernel with what was written, and puts back
// what somebody else changed. Counters and connections are nobody's to compare.
// Before the first plan, nothing is wanted yet.
func (p *Plane) repairDrift() {
	p.mu.Lock()
	planned := p.planned
	if planned {
		p.repairPins()
		p.repairDevices()
	}
	p.mu.Unlock()
	if !planned {
		return
	}
	p.noteFailure(abi.BpfMapRooms, p.repairRoom())
	p.noteFailure(abi.BpfMapTables, p.repairTables())
	p.noteFailure(abi.BpfMapLoads, p.repairLimits())
	for _, m := range p.tables.All() {
		changed := false
		err := m.Repair(func(name string, err error) {
			changed = true
			p.ledger.Note(m.Kind, name, err)
		})
		p.noteFailure(m.Kind, err)
		if changed && m.Kind == abi.BpfMapFlowKnobs {
			p.noteFailure(m.Kind, p.afterKnobs())
		}
	}
	p.ledger.Done()
}

// noteFailure enters that something could not be compared.
func (p *Plane) noteFailure(what string, err error) {
	if err != nil {
		p.ledger.Note(driftCompare, what, err)
	}
}

// afterKnobs empties the flow cache: with other knobs its lines went elsewhere.
func (p *Plane) afterKnobs() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgetFlows()
}

// repairRoom puts the bound of half-open connections back.
func (p *Plane) repairRoom() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r abi.BpfRoom
	if err := p.maps.Rooms.Lookup(uint32(0), &r); err != nil {
		return err
	}
	if r.Limit != p.maps.HalfOpens.MaxEntries() {
		p.ledger.Note(abi.BpfMapRooms, "half-open connections", p.setRoom())
	}
	return nil
}

// tablesAtATime are how many services' tables are looked at before others get the
// lock.
const tablesAtATime = 512

// repairTables finds services whose table is not the one that was put in force: it
// is laid out again. What is in a table does not change, since it is frozen, and one
// that no service has is nobody's.
func (p *Plane) repairTables() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := slices.Collect(maps.Keys(p.services))
	for some := range slices.Chunk(keys, tablesAtATime) {
		for _, key := range some {
			if err := p.repairTable(key); err != nil {
				return err
			}
		}
		p.mu.Unlock()
		p.mu.Lock()
	}
	return nil
}

func (p *Plane) repairTable(key lvs.ServiceKey) error {
	s := p.services[key]
	if s == nil || !s.present || s.layout == nil {
		return nil
	}
	id, err := p.tableID(s)
	if err != nil {
		return err
	}
	if id != s.table {
		p.ledger.Note(abi.BpfMapTables, key.String(), p.putTableAgain(key, s))
	}
	return nil
}

func (p *Plane) putTableAgain(key lvs.ServiceKey, s *service) (err error) {
	c := &change{service: s, vs: lvs.VirtualServer{ServiceKey: key}}
	if c.table, err = p.newTable(tableOf(s.layout)); err != nil {
		return err
	}
	return p.putTables([]*change{c})
}

// repairLimits compares the servers' weights and thresholds, in mapped memory.
func (p *Plane) repairLimits() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, s := range p.servers {
		if !s.present {
			continue
		}
		now, err := p.limitsNow(s.index)
		if err != nil {
			return err
		}
		if now != s.limits {
			p.ledger.Note(abi.BpfMapLoads, fmt.Sprintf("%d (%s)", s.index, key.addr), p.setLimits(s, s.limits))
		}
	}
	return nil
}
