package director

import (
	"context"
	"fmt"
	"os"
	"time"

	"weir/internal/cluster"
	"weir/internal/director/pool"
)

// Snapshot tells the state of everything at one moment. It may be called from any
// goroutine once Run has begun. The error is ctx's, ErrStopped, or says what of the
// data plane could not be read. The file that runs is the caller's to fill in: the
// director gets configurations, not files.
func (d *Director) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	var s cluster.Snapshot
	var services pool.Reading
	if err := d.ask(ctx, "a snapshot", func() { s, services = d.snapshot() }); err != nil {
		return cluster.Snapshot{}, err
	}
	// The data plane may be busy, and texts take their time: neither delays the loop.
	report, err := d.machine.Plane.Counters.Report()
	if err != nil {
		return s, fmt.Errorf("read the data plane: %w", err)
	}
	s.Devices, s.Connections, s.Packets = report.Devices, report.Connections, report.Packets
	for kind, n := range report.Drift {
		s.Drift[kind] = n
	}
	s.Services = services.Finish(report.Counts)
	return s, nil
}

// Instances are the VRRP instances at one moment, as a snapshot has them.
func (d *Director) Instances(ctx context.Context) (list []cluster.Instance, err error) {
	err = d.ask(ctx, "the instances", func() { list = d.instances.Snapshot() })
	return list, err
}

// Subscribe reads the events whose numbers are greater than after.
func (d *Director) Subscribe(after uint64) *cluster.Subscription { return d.stream.Subscribe(after) }

// snapshot is what the loop's goroutine has to tell.
func (d *Director) snapshot() (cluster.Snapshot, pool.Reading) {
	// The number comes first: what happens meanwhile is told again rather than never.
	s := cluster.Snapshot{LastEvent: d.stream.Last(), Time: time.Now(), Drift: map[string]cluster.Drift{}}
	s.Director = cluster.Director{Started: d.began, Loaded: d.loaded}
	s.Director.Host, _ = os.Hostname() // without a name, it has none to tell
	for kind, n := range d.drift.Counts() {
		s.Drift[kind] = cluster.Drift(n)
	}
	s.Instances = d.instances.Snapshot()
	for _, r := range d.bfd.Report() {
		session := cluster.Session{Name: r.Name, Neighbor: r.Neighbor, Up: r.Status.Up}
		if !r.Status.Up && r.Status.Been {
			session.Reason = r.Status.Diagnostic.String()
		}
		s.Sessions = append(s.Sessions, session)
	}
	for i := range s.Instances {
		s.Instances[i].Conflicts = d.conflictsOf(&s.Instances[i])
	}
	return s, d.pools.Read()
}
