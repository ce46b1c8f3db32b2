package dataplane

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/stats"
	"weir/lvs"
)

// counted are the connections that services and servers say they had.
func (b *bench) counted(t testing.TB) (services map[lvs.ServiceKey]uint64, servers map[string]uint64) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	services, servers = map[lvs.ServiceKey]uint64{}, map[string]uint64{}
	for key, s := range stats.Services {
		if s.Present {
			services[key] = s.Counter.Conns
		}
	}
	for _, s := range stats.Servers {
		if s.Present {
			servers[s.Service.String()+" "+s.Server.Addr.String()] = s.Counter.Conns
		}
	}
	return services, servers
}

func (b *bench) wantCounted(t testing.TB, when string, key lvs.ServiceKey, service uint64, servers map[string]uint64) {
	t.Helper()
	gotServices, gotServers := b.counted(t)
	if gotServices[key] != service {
		t.Errorf("%s: %s counts %d connections, want %d", when, key, gotServices[key], service)
	}
	for addr, want := range servers {
		if got, ok := gotServers[key.String()+" "+addr]; !ok || got != want {
			t.Errorf("%s: %s of %s counts %d connections (%v), want %d", when, addr, key, got, ok, want)
		}
	}
}

// A service counts on from what it had with servers that were removed. Zeroing
// begins anew with the service and its servers, not with other services and not
// with what a removed server had; the next process knows of it.
func TestZero(t *testing.T) {
	const rs1, rs2 = "192.0.2.11", "192.0.2.12"
	tcp := virtual(lvs.TCP, vip4, lvs.RoundRobin, real(rs1, 1), real(rs2, 1))
	other := virtual(lvs.TCP, vip4, lvs.RoundRobin, real(rs1, 1))
	other.Port = 81
	withPlane(t, planOf(tcp, other), func(b *bench) {
		b.picks(t, places[0], 1, 10)
		f := syn(1)
		f.to = "192.0.2.100:81"
		b.pick(t, places[0], f)
		b.wantCounted(t, "first", tcp.ServiceKey, 10, map[string]uint64{rs1: 5, rs2: 5})

		one := tcp
		one.RealServers = tcp.RealServers[1:]
		b.set(t, planOf(one, other))
		b.picks(t, places[1], 11, 3)
		b.wantCounted(t, "without rs1", tcp.ServiceKey, 13, map[string]uint64{rs2: 8})

		if err := b.Zero(tcp.ServiceKey); err != nil {
			t.Fatal(err)
		}
		b.wantCounted(t, "zeroed", tcp.ServiceKey, 0, map[string]uint64{rs2: 0})
		b.wantCounted(t, "the other", other.ServiceKey, 1, map[string]uint64{rs1: 1})

		b.picks(t, places[0], 21, 2)
		b.set(t, planOf(tcp, other))
		b.wantCounted(t, "rs1 again", tcp.ServiceKey, 2, map[string]uint64{rs1: 5, rs2: 2})

		next, err := Open(Options{PinDir: b.pinDir, Connections: 1 << 15, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		(&bench{Plane: next}).wantCounted(t, "the next process", tcp.ServiceKey, 2, map[string]uint64{rs1: 5, rs2: 2})

		if err := b.Zero(); err != nil {
			t.Fatal(err)
		}
		b.wantCounted(t, "all zeroed", tcp.ServiceKey, 0, map[string]uint64{rs1: 0, rs2: 0})
		b.wantCounted(t, "all zeroed", other.ServiceKey, 0, map[string]uint64{rs1: 0})
		if err := b.Zero(lvs.MarkKey(7, false)); err == nil {
			t.Error("an unknown service was zeroed")
		}
	})
}

// A service that is removed and added again is a new one.
func TestServiceThatComesAgainCountsFromZero(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	key := plan.Services[0].ServiceKey
	withPlane(t, plan, func(b *bench) {
		b.picks(t, places[0], 1, 4)
		if err := b.Zero(); err != nil {
			t.Fatal(err)
		}
		b.picks(t, places[0], 11, 2)
		b.set(t, lvs.Plan{})
		b.set(t, plan)
		b.wantCounted(t, "again", key, 0, map[string]uint64{"192.0.2.11": 0, "192.0.2.12": 0})
		b.picks(t, places[0], 21, 2)
		b.wantCounted(t, "after two more", key, 2, map[string]uint64{"192.0.2.11": 1, "192.0.2.12": 1})
	})
}

// The rates of a service and its servers are those of its counters; a process
// that takes up counters does not take their history for a rate.
func TestRates(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	key := plan.Services[0].ServiceKey
	withPlane(t, plan, func(b *bench) {
		b.picks(t, places[0], 1, 80)
		if err := b.services.Estimate(); err != nil {
			t.Fatal(err)
		}
		// 80 in two seconds: a quarter of 40, each SYN 40 bytes of IP.
		want := Rates{Conns: 10, InPackets: 10, InBytes: 400}
		stats, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if got := stats.Services[key].Rates; got != want {
			t.Errorf("the service's rates are %+v, want %+v", got, want)
		}
		for _, s := range stats.Servers {
			if want := (Rates{Conns: 5, InPackets: 5, InBytes: 200}); s.Rates != want {
				t.Errorf("%s: rates %+v, want %+v", s.Server.Addr, s.Rates, want)
			}
		}
		next, err := Open(Options{PinDir: b.pinDir, Connections: 1 << 15, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if err := next.services.Estimate(); err != nil {
			t.Fatal(err)
		}
		if stats, err = next.Stats(); err != nil {
			t.Fatal(err)
		}
		if got := stats.Services[key].Rates; got != (Rates{}) {
			t.Errorf("the next process begins with rates %+v", got)
		}
	})
}

// Counters are read many at a time; each goes to its own server and service.
func TestRatesOfMany(t *testing.T) {
	const services, each = 50, 20
	withPlane(t, planOfSize(services, each), func(b *bench) {
		counted := func(n uint32) []abi.BpfCounter {
			all := make([]abi.BpfCounter, ebpf.MustPossibleCPU())
			for i := range all {
				all[i].Conns = uint64(n) << 10 // the fixed point of rates
			}
			return all
		}
		for i := range uint32(services * each) {
			if err := b.maps.ServerStats.Put(i, counted(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range uint32(services) {
			if err := b.maps.ServiceStats.Put(i, counted(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.services.Estimate(); err != nil {
			t.Fatal(err)
		}
		want := func(index uint32, rates Rates) {
			if got, want := rates.Conns, uint64(index)*uint64(ebpf.MustPossibleCPU())<<10/8; got != want {
				t.Fatalf("number %d has %d a second, want %d", index, got, want)
			}
		}
		read, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		indexes := map[string]uint32{} // of the servers
		for key, s := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
			want(s.Index, read.Services[key.LVS()].Rates)
			for i, server := range written[uint32, abi.BpfServer](b.maps.Servers) {
				if server.Service == s.Index {
					indexes[fmt.Sprint(key.LVS(), server.AddrPort())] = i
				}
			}
		}
		for _, s := range read.Servers {
			want(indexes[fmt.Sprint(s.Service, s.Server.AddrPort())], s.Rates)
		}
	})
}

// Run takes the samples.
func TestRunEstimates(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	key := plan.Services[0].ServiceKey
	withPlane(t, plan, func(b *bench) {
		b.picks(t, places[0], 1, 800)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go b.ns.Do(func() { ended <- b.Run(ctx) })
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		for deadline := time.Now().Add(10 * stats.EstimateEvery); ; time.Sleep(50 * time.Millisecond) {
			stats, err := b.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if stats.Services[key].Rates.Conns > 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("no rate is estimated")
			}
		}
	})
}
