package service

import (
	"fmt"
	"maps"
	"slices"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// tablesAtATime are how many services' tables are looked at before others get the
// lock.
const tablesAtATime = 512

// RepairTables lays out the table of each service again whose table is not the one that was
// put in force. The contents of a table need no comparison, since it is frozen.
func (r *Registry) RepairTables() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.Collect(maps.Keys(r.services))
	for some := range slices.Chunk(keys, tablesAtATime) {
		for _, key := range some {
			if err := r.repairTable(key); err != nil {
				return err
			}
		}
		r.mu.Unlock()
		r.mu.Lock()
	}
	return nil
}

func (r *Registry) repairTable(key lvs.ServiceKey) error {
	s := r.services[key]
	if s == nil || !s.present || s.layout == nil {
		return nil
	}
	id, err := r.tableID(s)
	if err != nil {
		return err
	}
	if id != s.table {
		r.ledger.Note(abi.BpfMapTables, key.String(), r.putTableAgain(key, s))
	}
	return nil
}

func (r *Registry) putTableAgain(key lvs.ServiceKey, s *service) (err error) {
	c := &change{service: s, vs: lvs.VirtualServer{ServiceKey: key}}
	if c.table, err = r.newTable(tableOf(s.layout)); err != nil {
		return err
	}
	return r.putTables([]*change{c})
}

// RepairLimits compares the servers' weights and thresholds, in mapped memory.
func (r *Registry) RepairLimits() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.servers {
		if !s.present {
			continue
		}
		now, err := r.limitsNow(s.index)
		if err != nil {
			return err
		}
		if now != s.limits {
			r.ledger.Note(abi.BpfMapLoads, fmt.Sprintf("%d (%s)", s.index, key.addr), r.setLimits(s, s.limits))
		}
	}
	return nil
}
