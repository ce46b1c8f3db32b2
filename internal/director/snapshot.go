package director

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
)

// Report is what the data plane knows: devices, counters, and its own drift.
type Report struct {
	Devices  []cluster.Device
	Services map[lvs.ServiceKey]cluster.Traffic
	Servers  map[lvs.ServiceKey]map[netip.AddrPort]ServerReport
	// Connections, Packets and Drift are those of cluster.Snapshot.
	Connections int
	Packets     map[string]uint64
	Drift       map[string]cluster.Drift
}

// ServerReport is what the data plane has counted of a real server in a service.
type ServerReport struct {
	Active, Inactive, Persistent int
	Traffic                      cluster.Traffic
}

// Snapshot tells the state of everything at one moment. It may be called from any
// goroutine once Run has begun. The error is ctx's, ErrStopped, or says what of the
// data plane could not be read. The file that runs is the caller's to fill in: the
// director gets configurations, not files.
func (d *Director) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	var s cluster.Snapshot
	var rest []unfinished
	if err := d.ask(ctx, func() { s, rest = d.snapshot() }); err != nil {
		return cluster.Snapshot{}, err
	}
	// The data plane may be busy, and texts take their time: neither delays the loop.
	report, err := d.plane.Report()
	if err != nil {
		return s, fmt.Errorf("read the data plane: %w", err)
	}
	s.Devices, s.Connections, s.Packets = report.Devices, report.Connections, report.Packets
	for kind, n := range report.Drift {
		s.Drift[kind] = n
	}
	for i := range rest {
		rest[i].finish(&s.Services[i], report)
	}
	return s, nil
}

// Subscribe reads the events whose numbers are greater than after.
func (d *Director) Subscribe(after uint64) *cluster.Subscription { return d.stream.Subscribe(after) }

// snapshot is what the loop's goroutine has to tell, without the texts of services.
func (d *Director) snapshot() (cluster.Snapshot, []unfinished) {
	// The number comes first: what happens meanwhile is told again rather than never.
	s := cluster.Snapshot{LastEvent: d.stream.Last(), Time: time.Now(), Drift: map[string]cluster.Drift{}}
	s.Director = cluster.Director{Started: d.started, Loaded: d.loaded}
	s.Director.Host, _ = os.Hostname() // without a name, it has none to tell
	for kind, n := range d.drift.Counts() {
		s.Drift[kind] = cluster.Drift(n)
	}
	s.Instances = make([]cluster.Instance, 0, len(d.instances))
	for _, in := range d.instances {
		s.Instances = append(s.Instances, in.snapshot())
	}
	rest := make([]unfinished, 0, len(d.pools))
	s.Services = make([]cluster.Service, 0, len(d.pools))
	for _, p := range d.pools {
		for _, key := range p.keys {
			service, more := p.snapshot(key)
			s.Services, rest = append(s.Services, service), append(rest, more)
		}
	}
	return s, rest
}

// unfinished is what a snapshot's service still lacks, by values that do not change.
type unfinished struct {
	key    lvs.ServiceKey
	probes [][]probeTarget // of each server
}

func (u unfinished) finish(s *cluster.Service, report Report) {
	s.Name, s.Traffic = u.key.String(), report.Services[u.key]
	counts := report.Servers[u.key]
	for i := range s.Servers {
		server := &s.Servers[i]
		for _, p := range u.probes[i] {
			server.Checkers = append(server.Checkers, p.String())
		}
		c := counts[server.Addr]
		server.Active, server.Inactive, server.Persistent, server.Traffic = c.Active, c.Inactive, c.Persistent, c.Traffic
	}
}

// snapshot is one service of the pool.
func (p *pool) snapshot(key lvs.ServiceKey) (cluster.Service, unfinished) {
	s := cluster.Service{Group: p.group, Scheduler: p.empty.Scheduler, Servers: make([]cluster.Server, 0, len(p.members))}
	u := unfinished{key: key, probes: make([][]probeTarget, 0, len(p.members))}
	for _, m := range p.members {
		if !fits(m.server, key) {
			continue
		}
		server := cluster.Server{
			Addr: as(m.server, key).AddrPort(), Method: m.server.Method.String(), Weight: m.server.Weight,
			Up: true, Since: m.since,
		}
		var targets []probeTarget
		if len(m.probes) > 0 {
			targets = make([]probeTarget, 0, len(m.probes))
		}
		for _, probe := range m.probes {
			if targets = append(targets, probe.check.probeTarget); probe.down != nil && server.Up {
				server.Up, server.Reason = false, probe.down.Error()
			}
		}
		s.Servers, u.probes = append(s.Servers, server), append(u.probes, targets)
	}
	return s, u
}

// snapshot is the instance as its state machine is at the moment.
func (in *instance) snapshot() cluster.Instance {
	now, cfg := in.vrrp.Snapshot(), in.config()
	s := cluster.Instance{
		Name: cfg.Name, ID: in.id, State: stateOf(now.State), Since: now.Since, Priority: int(now.Priority), Fault: now.Fault,
		Sent: now.Counters.Sent, Received: now.Counters.Received, Dropped: map[string]uint64{},
	}
	for _, vip := range cfg.Addresses() {
		s.VIPs = append(s.VIPs, vip.Prefix)
	}
	if now.Peer.Addr.IsValid() {
		s.Peer = &cluster.Peer{Addr: now.Peer.Addr, Priority: int(now.Peer.Priority), Heard: now.Peer.Heard}
	}
	for reason, n := range now.Counters.Drops.ByName() {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	return s
}
