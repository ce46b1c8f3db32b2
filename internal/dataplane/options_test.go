package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/sched"
	"weir/lvs"
)

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct {
		options Options
		want    string
	}{
		{Options{Services: -1}, "Services is -1: expected 1 to 65536, or 0 for the default of 4096"},
		{Options{Services: 1 << 17}, "Services is 131072: expected 1 to 65536, or 0 for the default of 4096"},
		{Options{RealServers: 1 << 21}, "RealServers is 2097152: expected 1 to 1048576, or 0 for the default of 65536"},
		{Options{Connections: 1 << 27}, "Connections is 134217728: expected 1 to 67108864, or 0 for the default of 1048576"},
		{Options{Connections: 50, Templates: -2}, "Templates is -2: expected 1 to 67108864, or 0 for the default of 50"},
		{Options{CacheLines: -1}, "CacheLines is -1: expected 1 to 16777216, or 0 for the default of 65536"},
		{Options{Cycle: 65537}, "Cycle is 65537: expected 1 to 65536, or 0 for the default of 65536"},
	} {
		_, err := Open(tt.options)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %s", tt.options, err, tt.want)
		}
	}
}

// withSizes is withPlane with these sizes.
func withSizes(t *testing.T, o Options, body func(b *bench)) {
	ns := newNetwork(t, nsName(t), []string{"192.0.2.1/24", "2001:db8::1/64"}, "192.0.2.1%d", "2001:db8::1%d")
	ns.IP("route", "add", "10.0.0.0/8", "via", "192.0.2.11")
	ns.Do(func() {
		o.PinDir, o.Log = pinsFor(nsName(t)), slog.New(slog.DiscardHandler)
		b := benchOf(t, o)
		b.ns = ns
		defer func() {
			if err := b.Remove(); err != nil {
				t.Error(err)
			}
		}()
		body(b)
	})
}

// service is the n-th of many, behind so many servers.
func nth(n int, s lvs.Scheduler, servers int) lvs.VirtualServer {
	vs := virtual(lvs.TCP, netip.AddrFrom4([4]byte{172, 16, byte(n >> 8), byte(n)}), s)
	for i := range servers {
		vs.RealServers = append(vs.RealServers, real(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), 1+i%3))
	}
	return vs
}

// 4,096 services, and behind one of each scheduler 1,024 servers: every service
// gives its server, and those that go by turns or by load use all of theirs.
func TestManyServicesAndServers(t *testing.T) {
	const services, servers = 4096, 1024
	all := []lvs.Scheduler{}
	for _, row := range sched.Rows() {
		all = append(all, row.Name)
	}
	slices.Sort(all)
	var plan lvs.Plan
	for n := range services {
		many := 1
		if n < len(all) {
			many = servers
		}
		plan.Services = append(plan.Services, nth(n, all[n%len(all)], many))
	}
	// A sixth of the connections may be half open.
	withSizes(t, Options{Connections: 1 << 18}, func(b *bench) {
		b.set(t, plan)
		for n, vs := range plan.Services {
			packets := 1
			if n < len(all) {
				packets = servers
			}
			for port := range packets {
				f := syn(1 + port)
				f.to = vs.Addr.String() + ":80"
				if got := b.pick(t, places[n%2], f); got != "rs1" { // the gateway's address
					t.Fatalf("%s %s, packet %d: %s", vs.ServiceKey, vs.Scheduler, port, got)
				}
			}
		}
		stats, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		used := map[lvs.ServiceKey]int{}
		for _, s := range stats.Servers {
			if s.Counter.Conns > 0 {
				used[s.Service]++
			}
		}
		for n, vs := range plan.Services {
			want := 1
			if n < len(all) {
				want = map[lvs.Scheduler]int{
					lvs.RoundRobin: servers, lvs.LeastConnection: servers, lvs.NeverQueue: servers,
					// It begins with the last round, in which all have a turn.
					lvs.WeightedRoundRobin: servers,
				}[vs.Scheduler]
			}
			if used[vs.ServiceKey] < max(want, 1) {
				t.Errorf("%s %s used %d of its servers, want %d", vs.ServiceKey, vs.Scheduler, used[vs.ServiceKey], max(want, 1))
			}
		}
	})
}

// A plan with more than fits is refused as a whole: what was there stays.
func TestPlanThatDoesNotFit(t *testing.T) {
	small := planOf(nth(1, lvs.RoundRobin, 2), nth(2, lvs.RoundRobin, 2))
	withSizes(t, Options{Connections: 1 << 10, Services: 2, RealServers: 5, CacheLines: 16, Templates: 16}, func(b *bench) {
		b.set(t, small)
		for _, tt := range []struct {
			plan lvs.Plan
			want string
		}{
			{planOf(append(small.Services, nth(3, lvs.RoundRobin, 1))...), "3 virtual servers: 2 fit; open the data plane with a larger Options.Services"},
			{planOf(nth(1, lvs.RoundRobin, 6)), "6 real servers, all services together: 5 fit; open the data plane with a larger Options.RealServers"},
		} {
			if err := b.Set(tt.plan); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		}
		wrong := nth(1, lvs.RoundRobin, 1)
		wrong.RealServers[0].Weight = -1
		if err := b.Set(planOf(wrong)); err == nil || !strings.HasSuffix(err.Error(), "real server 10.0.0.0:80: weight -1: expected 0 to 2147483647") {
			t.Errorf("got %v, want the weight named", err)
		}
		for _, upper := range []uint32{0, 4} { // none, and one below
			wrong := nth(1, lvs.RoundRobin, 1)
			wrong.RealServers[0].Upper, wrong.RealServers[0].Lower = upper, 5
			for _, refuse := range []func(lvs.Plan) error{b.Check, b.Set} {
				if err := refuse(planOf(wrong)); !errors.Is(err, unix.ERANGE) {
					t.Errorf("lower threshold 5, upper %d: %v, want %v", upper, err, unix.ERANGE)
				}
			}
		}
		b.set(t, small)
		f := syn(1)
		f.to = small.Services[1].Addr.String() + ":80"
		b.send(t, places[0], f, back)
		stats, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(len(stats.Services), " ", len(stats.Servers)); got != "2 4" {
			t.Errorf("services and servers: %s, want 2 4", got)
		}
	})
}
