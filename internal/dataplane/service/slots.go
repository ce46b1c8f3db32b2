package service

import (
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// setSlots has the slot of each service lead to its entry (service/service_slots.h of bpf/), where
// that is as the table of services has it; of services that have one slot that of the lowest index
// has it. Only services that are wanted get one.
func (r *Registry) setSlots(wanted func(lvs.ServiceKey) bool) error {
	var slots abi.BpfServiceSlots
	services, entries := r.serviceTable.Wrote(), r.entries.Wrote()
	for key, s := range r.services {
		if !s.present || !wanted(key) {
			continue
		}
		k := abi.ServiceKeyOf(key)
		if value, there := services[k]; !there || entries[s.index] != (abi.BpfServiceEntry{Key: k, Service: value}) {
			continue
		}
		if at := &slots.Entry[abi.ServiceSlot(k)]; *at == 0 || s.index < *at {
			*at = s.index + 1
		}
	}
	if r.slots.Wrote()[0] == slots {
		return nil
	}
	if err := r.slots.Put(0, slots); err != nil {
		return fmt.Errorf("write where services stand: %w", err)
	}
	return nil
}

// putService writes a service: its entry, and then the index of that into the table of services.
func (r *Registry) putService(key abi.BpfServiceKey, s abi.BpfService) error {
	if err := r.entries.Put(s.Index, abi.BpfServiceEntry{Key: key, Service: s}); err != nil {
		return err
	}
	return r.serviceTable.Put(key, s)
}
