package dataplane

import (
	"time"

	"weir/internal/dataplane/stats"
	"weir/internal/drift"
	"weir/lvs"
)

// The types of a reading.
type (
	// Counter is what passed since a service or server was added, or zeroed.
	Counter = stats.Counter
	// Rates are what passes in a second at the moment.
	Rates = stats.Rates
	// ServiceStats is what a service has to do.
	ServiceStats = stats.ServiceStats
	// ServerStats is a real server's share of its service.
	ServerStats = stats.ServerStats
)

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

// Stats reads all counters. It is an error where one of them cannot be read.
func (p *Plane) Stats() (Stats, error) {
	out := Stats{Live: p.conns.Live(), Drift: p.ledger.Counts()}
	var err error
	if out.Services, out.Servers, err = p.services.Stats(); err != nil {
		return out, err
	}
	out.Reasons, err = stats.Reasons(p.maps.Reasons)
	return out, err
}

// Opened tells of each real server that was sent TCP connections since the last call, but a
// second before, how many of them were answered. It costs some microseconds a connection.
func (p *Plane) Opened() ([]lvs.Opened, error) {
	counts, err := p.conns.Opened(time.Now())
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	return p.services.Opened(counts), nil
}
