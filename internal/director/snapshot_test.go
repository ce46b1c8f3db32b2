package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/lvs"
)

// counting is a data plane that has counted something.
type counting struct {
	before
	report Report
	err    error
}

func (c counting) Report() (Report, error) { return c.report, c.err }

// looping runs the director's loop, with no kernel to hear of, until the test ends.
func looping(t testing.TB, d *Director) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.loop(ctx, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A snapshot has what the configuration says, what the checks found, and what the data
// plane counted.
func TestSnapshot(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.11:80")
	plane := counting{report: Report{
		Devices:     []cluster.Device{{Name: "eth0", Hook: lvs.HookTC, Why: "so"}},
		Services:    map[lvs.ServiceKey]cluster.Traffic{web: {Connections: 7}},
		Servers:     map[lvs.ServiceKey]map[netip.AddrPort]ServerReport{web: {at: {Active: 2, Inactive: 3, Persistent: 1}}},
		Connections: 5, Drift: map[string]cluster.Drift{"pins": {Found: 1, Repaired: 1}},
	}}
	d := newFrom(services(virtual(80, server("192.0.2.11", tcp(80, 6)), server("192.0.2.12", tcp(80, 6)))), plane)
	d.realserver = &told{}
	d.drift.Note(driftVIP, "192.0.2.100/32 on eth0", nil)
	moment := time.Now()
	d.checked(d.pools[0].members[1].probes[0], check.Result{Reason: errors.New("refused"), At: moment, Tries: 2})()
	looping(t, d)
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	service := s.Services[0]
	if service.Name != "TCP 192.0.2.100:80" || service.Scheduler != lvs.RoundRobin || service.Traffic.Connections != 7 {
		t.Errorf("service %+v", service)
	}
	up, down := service.Servers[0], service.Servers[1]
	if up.Addr != at || up.Method != "DR" || up.Weight != 1 || !up.Up || up.Active != 2 || up.Inactive != 3 || up.Persistent != 1 {
		t.Errorf("server %+v", up)
	}
	if fmt.Sprint(up.Checkers) != "[TCP_CHECK 192.0.2.1:80]" {
		t.Errorf("its checkers are %v", up.Checkers)
	}
	if down.Up || down.Reason != "refused" || !down.Since.Equal(moment) {
		t.Errorf("the one that is down is %+v", down)
	}
	if fmt.Sprint(s.Devices) != "[{eth0 tc so}]" || s.Connections != 5 || fmt.Sprint(s.Drift) != "map[pins:{1 1} vip_addresses:{1 1}]" {
		t.Errorf("devices %v, %d connections, drift %v", s.Devices, s.Connections, s.Drift)
	}
	if s.Director.Host == "" || s.Director.Started.IsZero() || s.Director.Loaded.IsZero() {
		t.Errorf("director %+v", s.Director)
	}
	e, _, err := d.Subscribe(s.LastEvent - 1).Next(t.Context())
	if err != nil || e.Kind != cluster.RealServerDown || e.Number != s.LastEvent {
		t.Errorf("the last event is %+v, %v", e, err)
	}
}

// A snapshot that cannot be had says why.
func TestSnapshotFails(t *testing.T) {
	broken := counting{err: errors.New("no counters")}
	d := newFrom(services(), broken)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Snapshot(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("before the loop runs: %v, want that the context has ended", err)
	}
	d.realserver = &told{}
	looping(t, d)
	if _, err := d.Snapshot(t.Context()); !errors.Is(err, broken.err) {
		t.Errorf("error %v, want that of the data plane", err)
	}
	d = newFrom(services(), broken)
	close(d.stopped)
	for range cap(d.events) + 1 {
		if _, err := d.Snapshot(t.Context()); !errors.Is(err, ErrStopped) {
			t.Fatalf("error %v, want that weir is stopping", err)
		}
	}
}

// BenchmarkSnapshot is of 2,000 services with 20 servers each.
func BenchmarkSnapshot(b *testing.B) {
	var all []conf.VirtualServer
	for i := range 2000 {
		var servers []conf.RealServer
		for j := range 20 {
			servers = append(servers, server(fmt.Sprintf("192.0.2.%d", 1+j), tcp(80, time.Second)))
		}
		all = append(all, virtual(uint16(1+i), servers...))
	}
	d := newFrom(services(all...), before{})
	d.realserver = &told{}
	looping(b, d)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Snapshot(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			d.snapshot()
		}
	})
}
