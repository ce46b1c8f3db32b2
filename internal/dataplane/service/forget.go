package service

import (
	"fmt"

	"weir/internal/dataplane/abi"
)

// Forget frees the indexes of servers that were removed before this sweep and that it found
// no connection of, and then those of their services.
func (r *Registry) Forget(epoch uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mayForget {
		return nil
	}
	used, forgot, left := map[uint32]bool{}, false, false
	for key, s := range r.servers {
		if s.present || s.removed == epoch {
			used[key.service] = true
			left = left || !s.present
			continue
		}
		var entry abi.BpfServer
		if err := r.maps.Servers.Lookup(s.index, &entry); err != nil {
			return fmt.Errorf("read server %d: %w", s.index, err)
		}
		if entry.Swept == epoch {
			used[key.service], left = true, true
			continue
		}
		if err := r.serverTable.Drop(s.index); err != nil {
			return fmt.Errorf("clear server %d: %w", s.index, err)
		}
		if err := r.maps.Loads.Put(s.index, abi.BpfLoad{}); err != nil {
			return fmt.Errorf("clear the load of server %d: %w", s.index, err)
		}
		r.serverIndexes.free(s.index)
		delete(r.servers, key)
		forgot = true
	}
	for key, s := range r.services {
		left = left || !s.present && used[s.index]
		if !s.present && !used[s.index] {
			r.serviceIndexes.free(s.index)
			delete(r.services, key)
			forgot = true
		}
	}
	r.mayForget = left
	if !forgot {
		return nil
	}
	r.filtered = false
	return r.setFilter()
}

// Expiring says whether a server was removed whose connections are to expire with it,
// since Expired was last called.
func (r *Registry) Expiring() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.expiring
}

// Expired notes that these connections have expired.
func (r *Registry) Expired() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expiring = false
}
