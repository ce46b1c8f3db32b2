package main

import (
	"cmp"
	"net/netip"
	"slices"

	"weir/internal/cluster"
	"weir/internal/dataplane"
	"weir/internal/director"
	"weir/internal/director/pool"
	"weir/lvs"
)

// counters are the data plane's, as the director asks for them.
type counters struct{ *dataplane.Plane }

// Report reads the counters, and where the data plane is attached.
func (p counters) Report() (director.Report, error) {
	stats, err := p.Stats()
	if err != nil {
		return director.Report{}, err
	}
	r := director.Report{Connections: stats.Live, Packets: stats.Reasons, Drift: map[string]cluster.Drift{}}
	r.Services = make(map[lvs.ServiceKey]cluster.Traffic, len(stats.Services))
	r.Servers = make(map[lvs.ServiceKey]map[netip.AddrPort]pool.ServerCounts, len(stats.Services))
	for key, s := range stats.Services {
		r.Services[key] = traffic(s.Counter, s.Rates)
	}
	for _, s := range stats.Servers {
		if r.Servers[s.Service] == nil {
			r.Servers[s.Service] = map[netip.AddrPort]pool.ServerCounts{}
		}
		r.Servers[s.Service][s.Server.AddrPort()] = pool.ServerCounts{
			Active: s.Active, Inactive: s.Inactive, Persistent: s.Persistent, Traffic: traffic(s.Counter, s.Rates),
		}
	}
	for kind, n := range stats.Drift {
		r.Drift[kind] = cluster.Drift(n)
	}
	for _, a := range p.Attachments() {
		r.Devices = append(r.Devices, cluster.Device{Name: a.Device, Hook: a.Hook, Why: a.Why})
	}
	slices.SortFunc(r.Devices, func(a, b cluster.Device) int { return cmp.Compare(a.Name, b.Name) })
	return r, nil
}

func traffic(c dataplane.Counter, r dataplane.Rates) cluster.Traffic {
	return cluster.Traffic{
		Connections: c.Conns, InPackets: c.Packets, OutPackets: c.OutPackets, InBytes: c.Bytes, OutBytes: c.OutBytes,
		Rates: cluster.Rates{
			Connections: r.Conns, InPackets: r.InPackets, OutPackets: r.OutPackets, InBytes: r.InBytes, OutBytes: r.OutBytes,
		},
	}
}
