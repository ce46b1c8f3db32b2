package service

import (
	"errors"
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/stats"
	"weir/lvs"
)

// Zero has the counters of these services and of their servers count from 0, and
// their rates begin anew, as ipvsadm -Z does; without a key those of all services.
// What was counted with servers that are in no service now stays (ip_vs_zero_service,
// net/netfilter/ipvs/ip_vs_ctl.c).
func (r *Registry) Zero(keys ...lvs.ServiceKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := map[uint32]bool{}
	for _, key := range keys {
		s := r.services[key]
		if s == nil || !s.present {
			return fmt.Errorf("zero the counters of %s: there is no such service", key)
		}
		wanted[s.index] = true
	}
	return r.eachTally(func(t stats.Tallies, service, index uint32, of *stats.Tally) error {
		if len(keys) > 0 && !wanted[service] {
			return nil
		}
		return t.Reset(index, of)
	})
}

// Estimate takes the next sample of all rates. Where nothing passes, no counters of servers
// are read: each packet that a server counts is counted by its service.
func (r *Registry) Estimate() error {
	r.mu.Lock()
	services := make([]*stats.Tally, len(r.serviceIndexes.used))
	for _, s := range r.services {
		if s.present {
			services[s.index] = &s.tally
		}
	}
	r.mu.Unlock()
	moves, err := r.ofServices.Estimate(&r.mu, services)
	if err == nil && !moves && !r.serversMove {
		return nil
	}
	r.mu.Lock()
	servers := make([]*stats.Tally, len(r.serverIndexes.used))
	for _, s := range r.servers {
		if s.present {
			servers[s.index] = &s.tally
		}
	}
	r.mu.Unlock()
	moves, failed := r.ofServers.Estimate(&r.mu, servers)
	r.serversMove = moves || failed != nil
	return errors.Join(err, failed)
}

// eachTally goes through the services and servers of the last state.
func (r *Registry) eachTally(do func(t stats.Tallies, service, index uint32, of *stats.Tally) error) error {
	for key, s := range r.services {
		if !s.present {
			continue
		}
		if err := do(r.ofServices, s.index, s.index, &s.tally); err != nil {
			return fmt.Errorf("virtual server %s: %w", key, err)
		}
	}
	for key, s := range r.servers {
		if !s.present {
			continue
		}
		if err := do(r.ofServers, key.service, s.index, &s.tally); err != nil {
			return fmt.Errorf("real server %s: %w", key.addr, err)
		}
	}
	return nil
}

// Stats reads the counters of all services and servers, removed ones as well that
// connections still refer to.
func (r *Registry) Stats() (services map[lvs.ServiceKey]stats.ServiceStats, servers []stats.ServerStats, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	services = map[lvs.ServiceKey]stats.ServiceStats{}
	byIndex := map[uint32]lvs.ServiceKey{}
	for key, s := range r.services {
		byIndex[s.index] = key
		c, err := r.ofServices.Read(s.index, &s.tally)
		if err != nil {
			return services, servers, fmt.Errorf("virtual server %s: %w", key, err)
		}
		services[key] = stats.ServiceStats{Counter: c, Rates: s.tally.Rates(), Present: s.present}
	}
	for key, s := range r.servers {
		c, err := r.ofServers.Read(s.index, &s.tally)
		if err != nil {
			return services, servers, fmt.Errorf("real server %s: %w", key.addr, err)
		}
		rs := lvs.RealServer{Addr: key.addr.Addr(), Port: key.addr.Port(), Method: s.method}
		var load abi.BpfLoad
		if err := r.maps.Loads.Lookup(s.index, &load); err != nil {
			return services, servers, fmt.Errorf("load of %s: %w", key.addr, err)
		}
		servers = append(servers, stats.ServerStats{
			Service: byIndex[key.service], Server: rs, Counter: c, Rates: s.tally.Rates(), Present: s.present,
			Active: int(load.Active), Inactive: int(load.Inactive), Persistent: int(load.Persistent),
		})
	}
	return services, servers, nil
}

// Opened names those servers in service that connections were counted of, by their indexes.
func (r *Registry) Opened(counts map[uint32]lvs.Opened) (all []lvs.Opened) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.services {
		for _, server := range s.servers {
			if o, ok := counts[server.index]; ok {
				o.Service, o.Server = key, server.key.addr
				all = append(all, o)
			}
		}
	}
	return all
}
