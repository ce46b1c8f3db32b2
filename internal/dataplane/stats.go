package dataplane

import (
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/internal/drift"
	"weir/lvs"
)

// ServiceStats is what a service has to do.
type ServiceStats struct {
	// Counter has what passed with servers that were removed, too.
	Counter Counter
	Rates   Rates
	// Present is false for one that was removed, while connections refer to it.
	Present bool
}

// ServerStats is a real server's share of its service.
type ServerStats struct {
	Service lvs.ServiceKey
	Server  lvs.RealServer // without its weight and thresholds
	Counter Counter
	Rates   Rates
	// Present is false for one that was removed, while connections refer to it.
	Present bool
	// Active and Inactive are its live connections, Persistent its templates.
	Active, Inactive, Persistent int
}

// Stats is a reading of the data plane's counters.
type Stats struct {
	Services map[lvs.ServiceKey]ServiceStats
	Servers  []ServerStats
	Reasons  map[string]uint64 // packets not forwarded, by reason
	Live     int               // connections at the last sweep
	// Drift is what was found changed behind weir's back, by kind: a table's name,
	// attachments, or pins.
	Drift map[string]drift.Count
}

// reasonNames are the reasons as people read them: drop_ went nowhere, pass_
// went to the local stack, note_ was forwarded.
var reasonNames = map[abi.BpfReason]string{
	abi.BpfReasonDROP_NO_SERVER:      "drop_no_server",
	abi.BpfReasonDROP_NO_NEXT_HOP:    "drop_no_next_hop",
	abi.BpfReasonDROP_SERVER_REMOVED: "drop_server_removed",
	abi.BpfReasonDROP_TTL:            "drop_ttl",
	abi.BpfReasonDROP_EXPIRING:       "drop_expiring",
	abi.BpfReasonDROP_COLLISION:      "drop_collision",
	abi.BpfReasonPASS_PASSIVE:        "pass_passive",
	abi.BpfReasonPASS_FROM_DIRECTOR:  "pass_from_director",
	abi.BpfReasonPASS_NO_CONNECTION:  "pass_no_connection",
	abi.BpfReasonPASS_FRAGMENT:       "pass_fragment",
	abi.BpfReasonPASS_NO_SERVICE:     "pass_no_service",
	abi.BpfReasonDROP_TABLE_FULL:     "drop_table_full",
	abi.BpfReasonDROP_TOO_BIG:        "drop_too_big",
	abi.BpfReasonNOTE_TABLE_FULL:     "note_table_full",
	abi.BpfReasonNOTE_BY_HASH:        "note_by_hash",
	abi.BpfReasonNOTE_RECYCLED:       "note_recycled",
	abi.BpfReasonNOTE_ICMP_SENT:      "note_icmp_sent",
	abi.BpfReasonNOTE_ICMP_FORWARDED: "note_icmp_forwarded",
	abi.BpfReasonNOTE_FRAGMENT_HELD:  "note_fragment_held",
	abi.BpfReasonDROP_FRAGMENT:       "drop_fragment",
}

// Stats reads all counters.
func (p *Plane) Stats() (Stats, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Stats{Services: map[lvs.ServiceKey]ServiceStats{}, Reasons: map[string]uint64{}, Live: p.live, Drift: p.ledger.Counts()}
	byIndex := map[uint32]lvs.ServiceKey{}
	for key, s := range p.services {
		byIndex[s.index] = key
		c, err := p.ofServices().read(s.index, &s.tally)
		if err != nil {
			return out, fmt.Errorf("virtual server %s: %w", key, err)
		}
		out.Services[key] = ServiceStats{Counter: c, Rates: s.tally.rates(), Present: s.present}
	}
	for key, s := range p.servers {
		c, err := p.ofServers().read(s.index, &s.tally)
		if err != nil {
			return out, fmt.Errorf("real server %s: %w", key.addr, err)
		}
		rs := lvs.RealServer{Addr: key.addr.Addr(), Port: key.addr.Port(), Method: s.method}
		var load abi.BpfLoad
		if err := p.maps.Loads.Lookup(s.index, &load); err != nil {
			return out, fmt.Errorf("load of %s: %w", key.addr, err)
		}
		out.Servers = append(out.Servers, ServerStats{
			Service: byIndex[key.service], Server: rs, Counter: c, Rates: s.tally.rates(), Present: s.present,
			Active: int(load.Active), Inactive: int(load.Inactive), Persistent: int(load.Persistent),
		})
	}
	for reason, name := range reasonNames {
		var each []uint64
		if err := p.maps.Reasons.Lookup(uint32(reason), &each); err != nil {
			return out, fmt.Errorf("counter %s: %w", name, err)
		}
		for _, n := range each {
			out.Reasons[name] += n
		}
	}
	return out, nil
}
