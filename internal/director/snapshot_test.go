package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director/pool"
	"weir/lvs"
)

// A snapshot has what the configuration says, what the checks found, what VRRP does,
// and what the data plane counted.
func TestSnapshot(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		other := s.add(m2, cfg(vrrpOn(51, 150, theVIP))).start()
		defer other.stop()
		n := s.add(m1, cfg(vrrpOn(51, 100, theVIP)))
		at := netip.MustParseAddrPort("192.0.2.11:80")
		n.Director.machine.Plane.Counters = counting{Machine: m1, report: Report{
			Devices: []cluster.Device{{Name: "eth0", Hook: lvs.HookTC, Why: "so"}},
			Counts: pool.Counts{
				Services: map[lvs.ServiceKey]cluster.Traffic{web: {Connections: 7}},
				Servers:  map[lvs.ServiceKey]map[netip.AddrPort]pool.ServerCounts{web: {at: {Active: 2, Inactive: 3, Persistent: 1}}},
			},
			Connections: 5, Drift: map[string]cluster.Drift{"pins": {Found: 1, Repaired: 1}},
		}}
		begun := time.Now()
		n.start()
		defer n.stop()
		time.Sleep(8500 * time.Millisecond)
		s.down.set("192.0.2.12:80", true)
		m1.Give("eth0", netip.MustParsePrefix(theVIP))
		time.Sleep(8 * time.Second)
		shot, err := n.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		service := shot.Services[0]
		if service.Name != "TCP 192.0.2.100:80" || service.Scheduler != lvs.RoundRobin || service.Traffic.Connections != 7 {
			t.Errorf("service %+v", service)
		}
		up, down := service.Servers[0], service.Servers[1]
		if up.Addr != at || up.Method != "DR" || up.Weight != 1 || !up.Up || up.Active != 2 || up.Inactive != 3 || up.Persistent != 1 {
			t.Errorf("server %+v", up)
		}
		if !up.Since.Equal(begun) || fmt.Sprint(up.Checkers) != "[TCP_CHECK 192.0.2.11:80]" {
			t.Errorf("it is up since %s, and its checkers are %v", up.Since, up.Checkers)
		}
		if down.Up || down.Reason != "connection refused" || down.Since.Sub(begun) != 14*time.Second {
			t.Errorf("the one that is down since %s is %+v", down.Since.Sub(begun), down)
		}
		if fmt.Sprint(shot.Devices) != "[{eth0 tc so}]" || shot.Connections != 5 {
			t.Errorf("devices %v, %d connections", shot.Devices, shot.Connections)
		}
		if fmt.Sprint(shot.Drift) != "map[pins:{1 1} stray_addresses:{1 1}]" {
			t.Errorf("drift %v", shot.Drift)
		}
		in := shot.Instances[0]
		if in.Name != "VI_51" || in.State != cluster.Backup || in.Priority != 100 || in.Sent != 0 || in.Received == 0 || fmt.Sprint(in.VIPs) != "["+theVIP+"]" {
			t.Errorf("instance %+v", in)
		}
		if in.Peer == nil || in.Peer.Addr.String() != "192.0.2.2" || in.Peer.Priority != 150 || len(in.Dropped) > 0 {
			t.Errorf("its peer is %+v, dropped are %v", in.Peer, in.Dropped)
		}
		if d := shot.Director; d.Host == "" || !d.Started.Equal(begun) || !d.Loaded.Equal(begun) {
			t.Errorf("director %+v", d)
		}
		e, _, err := n.Subscribe(shot.LastEvent - 1).Next(t.Context())
		if err != nil || e.Number != shot.LastEvent {
			t.Errorf("the last event is %+v, %v", e, err)
		}
		if _, err := n.Reload(cfg(vrrpOn(51, 100, theVIP))); err != nil {
			t.Fatal(err)
		}
		if shot, err = n.Snapshot(t.Context()); err != nil || !shot.Director.Loaded.Equal(time.Now()) {
			t.Errorf("loaded at %s, %v; want now", shot.Director.Loaded, err)
		}
	})
}

// A snapshot that cannot be had says why.
func TestSnapshotFails(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m, broken := s.segment.Machine("192.0.2.1/24"), errors.New("no counters")
		n := s.add(m, cfg())
		n.Director.machine.Plane.Counters = counting{Machine: m, err: broken}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range cap(n.events) + 1 { // they wait for a loop, until there is no room
			if _, err := n.Snapshot(ended); !errors.Is(err, context.Canceled) {
				t.Fatalf("before the loop runs: %v, want that the context has ended", err)
			}
		}
		n.start()
		if _, err := n.Snapshot(t.Context()); !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the data plane", err)
		}
		n.stop()
		if _, err := n.Snapshot(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("error %v, want that weir is stopping", err)
		}
	})
}

// BenchmarkSnapshot is of 2,000 services with 20 servers each: all of it, and what the
// loop's goroutine has to do.
func BenchmarkSnapshot(b *testing.B) {
	var all []conf.VirtualServer
	for i := range 2000 {
		var servers []conf.RealServer
		for j := range 20 {
			servers = append(servers, server(fmt.Sprintf("192.0.2.%d", 1+j), tcp("192.0.2.1:80")))
		}
		all = append(all, virtual(uint16(1+i), servers...))
	}
	m := OnKernel(Plane{Left: nothing{}, Counters: counting{}}, &told{}, "")
	d := New(services(all...), m, cluster.NewStream(cluster.Log(slog.DiscardHandler)))
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.loop(ctx, nil) }()
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Snapshot(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	stop()
	<-ended
	b.Run("loop", func(b *testing.B) {
		for b.Loop() {
			d.snapshot()
		}
	})
}

// A snapshot has the sessions of BFD, with the reason of one that has gone down.
func TestSnapshotHasBFD(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		c := services(virtual(80, server("192.0.2.11")))
		c.BFDs = []*conf.BFD{{Name: "west", Neighbor: netip.MustParseAddr("192.0.2.9")}}
		n := s.add(m, c).start()
		defer n.stop()
		got, err := n.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []cluster.Session{{Name: "west", Neighbor: netip.MustParseAddr("192.0.2.9"), Reason: "control detection time expired"}}
		if !slices.Equal(got.Sessions, want) {
			t.Errorf("sessions %+v, want %+v", got.Sessions, want)
		}
	})
}
