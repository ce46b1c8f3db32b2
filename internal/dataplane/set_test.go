package dataplane

import (
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// Set writes what a plan has otherwise than the last one, and leaves the rest alone:
// with thousands of services a changed weight is a handful of writes. What stands
// in the tables beside it, here spoilt by hand, stays.
func TestSetWritesOnlyWhatDiffers(t *testing.T) {
	many := lvs.Plan{}
	for n := range 50 {
		many.Services = append(many.Services, nth(n, lvs.WeightedRoundRobin, 20))
	}
	withSizes(t, Options{}, func(b *bench) {
		b.set(t, many)
		spoilt := map[uint32]bool{}
		for index := range written[uint32, abi.BpfServer](b.maps.Servers) {
			if err := b.maps.Servers.Put(index, abi.BpfServer{Port: 7}); err != nil {
				t.Fatal(err)
			}
			spoilt[index] = true
		}
		for _, s := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
			if err := b.maps.Tables.Delete(s.Index); err != nil {
				t.Fatal(err)
			}
		}
		b.set(t, many)
		b.wantWritten(t, spoilt, 0, 0)

		many.Services[7].RealServers[3].Weight = 9
		b.set(t, many)
		b.wantWritten(t, spoilt, 1, 1)

		many.Services[8].Scheduler = lvs.WeightedLeastConnection
		b.set(t, many)
		b.wantWritten(t, spoilt, 1, 2)

		// A server leaves, one of another service comes.
		many.Services[9].RealServers = many.Services[9].RealServers[:19]
		many.Services[10].RealServers = append(many.Services[10].RealServers, real("10.9.9.9", 1))
		b.set(t, many)
		b.wantWritten(t, spoilt, 2, 4)
		if servers, _ := b.Serving(many.Services[10].ServiceKey); len(servers) != 21 {
			t.Error("the new server is not in")
		}
	})
}

// wantWritten expects so many of the spoilt servers to have been written again, and
// so many tables to be there.
func (b *bench) wantWritten(t *testing.T, spoilt map[uint32]bool, servers, tables int) {
	t.Helper()
	gotServers, gotTables := 0, 0
	for index := range spoilt {
		var entry abi.BpfServer
		if err := b.maps.Servers.Lookup(index, &entry); err != nil {
			t.Fatal(err)
		}
		if entry != (abi.BpfServer{Port: 7}) {
			gotServers++
		}
	}
	for key := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
		if b.tableOf(t, key.LVS()) != nil {
			gotTables++
		}
	}
	if gotServers != servers || gotTables != tables {
		t.Errorf("written were %d servers and %d tables, want %d and %d", gotServers, gotTables, servers, tables)
	}
}

// Check names what Set would refuse, and neither of it nor of the rest is anything
// done.
func TestCheckDoesNothing(t *testing.T) {
	good := nth(1, lvs.RoundRobin, 2)
	anyPort := nth(2, lvs.RoundRobin, 1)
	anyPort.Port = 0
	mixed := nth(3, lvs.RoundRobin, 1)
	mixed.RealServers = append(mixed.RealServers, real("2001:db8::11", 1))
	withSizes(t, Options{RealServers: 16}, func(b *bench) {
		b.set(t, planOf(good))
		for _, tt := range []struct {
			name string
			plan lvs.Plan
			want string
		}{
			{"good", planOf(good, nth(4, lvs.WeightedLeastConnection, 3)), ""},
			{"all ports", planOf(good, anyPort), "takes persistence"},
			{"two families", planOf(mixed), "another address family"},
			{"too many", planOf(nth(5, lvs.RoundRobin, 17)), "16 fit"},
			{"a device", lvs.Plan{Devices: []lvs.Device{{Name: "nosuch0"}}}, "device nosuch0"},
			{"an instance whose interface may come later", lvs.Plan{Instances: []lvs.Instance{{ID: lvs.InstanceID{Interface: "nosuch1", VRID: 1}}}}, ""},
			{"a time-out", lvs.Plan{Timeouts: lvs.Timeouts{UDP: 1}}, "time-out UDP"},
			{"a mark", lvs.Plan{Marks: []lvs.MarkRule{{}}}, "0 is no mark"},
		} {
			err := b.Check(tt.plan)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			if services, servers := b.known(t); services != 1 || servers != 2 {
				t.Fatalf("%s: there are %d services and %d servers now", tt.name, services, servers)
			}
		}
	})
}

// Removing many services waits for the kernel once, not once for each: a table of a removed
// service is replaced, since to delete one takes the kernel 10 ms or more.
func TestRemovingManyServices(t *testing.T) {
	const n, sample = 400, 20
	many := lvs.Plan{}
	for i := range n {
		many.Services = append(many.Services, nth(i, lvs.RoundRobin, 2))
	}
	withSizes(t, Options{}, func(b *bench) {
		b.set(t, many)
		begun := time.Now()
		for _, vs := range many.Services[:sample] {
			var s abi.BpfService
			if err := b.maps.Services.Lookup(abi.ServiceKeyOf(vs.ServiceKey), &s); err != nil {
				t.Fatal(err)
			}
			if err := b.maps.Tables.Delete(s.Index); err != nil {
				t.Fatal(err)
			}
		}
		oneByOne := time.Since(begun) * n / sample
		begun = time.Now()
		b.set(t, lvs.Plan{Services: many.Services[:1]})
		took := time.Since(begun)
		t.Logf("%d services are removed in %v; their tables alone, one by one: %v", n-1, took, oneByOne)
		if oneByOne > 2*time.Second && took > oneByOne/2 {
			t.Errorf("%d services are removed in %v: as slow as their tables one by one, %v", n-1, took, oneByOne)
		}
		for _, vs := range many.Services[1:] {
			if _, there := b.Serving(vs.ServiceKey); there {
				t.Fatalf("%s is still there", vs.ServiceKey)
			}
		}
		b.set(t, many) // and comes again
		for _, vs := range many.Services[1:] {
			if words := b.tableOf(t, vs.ServiceKey); words == nil || words[abi.TableLength] != 2 {
				t.Fatalf("%s came again with the table %v", vs.ServiceKey, words)
			}
		}
	})
}
