package dataplane

import (
	"fmt"

	"github.com/cilium/ebpf"

	"weir/lvs"
)

// Counter is what passed, since the service or server was added: from the
// clients, and to them where the answers pass the director (NAT).
type Counter struct {
	Conns, Packets, Bytes uint64
	OutPackets, OutBytes  uint64
}

// ServerStats is a real server's share of its service.
type ServerStats struct {
	Service lvs.ServiceKey
	Server  lvs.RealServer // without its weight and thresholds
	Counter Counter
	// Active and Inactive are its live connections, Persistent its templates.
	Active, Inactive, Persistent int
}

// Stats is a reading of the data plane's counters.
type Stats struct {
	Services map[lvs.ServiceKey]Counter
	Servers  []ServerStats
	Reasons  map[string]uint64 // packets not forwarded, by reason
	Live     int               // connections at the last sweep
}

// reasonNames are the reasons as people read them: drop_ went nowhere, pass_
// went to the local stack, note_ was forwarded.
var reasonNames = map[bpfReason]string{
	bpfReasonDROP_NO_SERVER:      "drop_no_server",
	bpfReasonDROP_NO_NEXT_HOP:    "drop_no_next_hop",
	bpfReasonDROP_SERVER_REMOVED: "drop_server_removed",
	bpfReasonDROP_TTL:            "drop_ttl",
	bpfReasonDROP_EXPIRING:       "drop_expiring",
	bpfReasonDROP_COLLISION:      "drop_collision",
	bpfReasonPASS_PASSIVE:        "pass_passive",
	bpfReasonPASS_FROM_DIRECTOR:  "pass_from_director",
	bpfReasonPASS_NO_CONNECTION:  "pass_no_connection",
	bpfReasonPASS_FRAGMENT:       "pass_fragment",
	bpfReasonPASS_NO_SERVICE:     "pass_no_service",
	bpfReasonDROP_TABLE_FULL:     "drop_table_full",
	bpfReasonDROP_TOO_BIG:        "drop_too_big",
	bpfReasonNOTE_TABLE_FULL:     "note_table_full",
	bpfReasonNOTE_BY_HASH:        "note_by_hash",
	bpfReasonNOTE_RECYCLED:       "note_recycled",
	bpfReasonNOTE_ICMP_SENT:      "note_icmp_sent",
}

// Stats reads all counters.
func (p *Plane) Stats() (Stats, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Stats{Services: map[lvs.ServiceKey]Counter{}, Reasons: map[string]uint64{}, Live: p.live}
	byIndex := map[uint32]lvs.ServiceKey{}
	for key, s := range p.services {
		byIndex[s.index] = key
		c, err := readCounter(p.maps.ServiceStats, s.index)
		if err != nil {
			return out, fmt.Errorf("counters of %s: %w", key, err)
		}
		out.Services[key] = c
	}
	for key, s := range p.servers {
		c, err := readCounter(p.maps.ServerStats, s.index)
		if err != nil {
			return out, fmt.Errorf("counters of %s: %w", key.addr, err)
		}
		rs := lvs.RealServer{Addr: key.addr.Addr(), Port: key.addr.Port(), Method: s.method}
		var load bpfLoad
		if err := p.maps.Loads.Lookup(s.index, &load); err != nil {
			return out, fmt.Errorf("load of %s: %w", key.addr, err)
		}
		out.Servers = append(out.Servers, ServerStats{
			byIndex[key.service], rs, c, int(load.Active), int(load.Inactive), int(load.Persistent),
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

func readCounter(m *ebpf.Map, index uint32) (sum Counter, err error) {
	var each []bpfCounter
	if err := m.Lookup(index, &each); err != nil {
		return sum, err
	}
	for _, c := range each {
		sum.Conns += c.Conns
		sum.Packets += c.Packets
		sum.Bytes += c.Bytes
		sum.OutPackets += c.OutPackets
		sum.OutBytes += c.OutBytes
	}
	return sum, nil
}
