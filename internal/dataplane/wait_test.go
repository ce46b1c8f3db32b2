package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/nexthop"
	"weir/internal/netlnk"
	"weir/lvs"
)

// While Set waits for the neighbour of a new server, which does not answer, nobody
// waits for Set: not the leases, not the counters, not who asks for a service.
func TestNobodyWaitsForANeighbour(t *testing.T) {
	plan := twoServers(lvs.RoundRobin)
	plan.Instances = driftPlan().Instances
	key := plan.Services[0].ServiceKey
	withPlane(t, plan, func(b *bench) {
		b.ns.IP("route", "add", "10.99.0.0/16", "dev", "eth0") // nobody there answers
		more := twoServers(lvs.RoundRobin)
		more.Instances = plan.Instances
		more.Services[0].RealServers = append(more.Services[0].RealServers, real("10.99.0.1", 1))
		begun, done := time.Now(), make(chan error)
		go b.ns.Do(func() { done <- b.Set(more) })
		var longest time.Duration
		set := false
		for rounds := 0; !set; rounds++ {
			asked := time.Now()
			if err := b.Renew(vi1, asked, time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Stats(); err != nil {
				t.Fatal(err)
			}
			if servers, ok := b.Serving(key); !ok || len(servers) == 0 {
				t.Fatal("the service is gone")
			}
			longest = max(longest, time.Since(asked))
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				set = true
			case <-time.After(time.Millisecond):
			}
		}
		waited := time.Since(begun)
		if waited < 80*time.Millisecond {
			t.Errorf("Set took %s: it waited for no neighbour", waited)
		}
		if longest > waited/2 {
			t.Errorf("others waited %s while Set took %s", longest, waited)
		}
		if servers, _ := b.Serving(key); len(servers) != 3 {
			t.Errorf("serving %v, want three servers", servers)
		}
	})
}

// What was found of a server that has left meanwhile is dropped.
func TestNextHopOfAServerThatLeft(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		left := b.serverOf("192.0.2.12")
		find := found{addr("192.0.2.11"): 7, addr("192.0.2.12"): 8}
		b.set(t, planOf())
		before := entryOfServer(b, left)
		if err := b.services.SetHops(find); err != nil {
			t.Fatal(err)
		}
		if after := entryOfServer(b, left); after != before {
			t.Errorf("the entry of a removed server became %+v, want %+v", after, before)
		}
		b.set(t, twoServers(lvs.RoundRobin))
		if err := b.services.SetHops(find); err != nil {
			t.Fatal(err)
		}
		if got := entryOfServer(b, left).NextHop.Ifindex; got != 8 {
			t.Errorf("the next hop of a server in service is on device %d, want 8", got)
		}
	})
}

// found are next hops, by address, as indexes of devices.
type found map[netip.Addr]int

func (f found) Await([]nexthop.Want) {}

func (f found) Known(addr netip.Addr) (hop netlnk.NextHop, ok bool) {
	index, ok := f[addr]
	return netlnk.NextHop{Index: index, Valid: true}, ok
}

func entryOfServer(b *bench, index uint32) abi.BpfServer {
	return entry[abi.BpfServer](b.maps.Servers, index)
}
