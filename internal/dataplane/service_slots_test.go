package dataplane

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// wantServiceSlots expects each service to stand in its entry as in the table of services, and a
// slot to lead to one of the services that it is the slot of, or nowhere where there is none.
func (b *bench) wantServiceSlots(t testing.TB) {
	t.Helper()
	slots := entry[abi.BpfServiceSlots](b.maps.ServiceSlots, uint32(0))
	want := map[int]uint32{} // the lowest index of the services of a slot, plus one
	for key, s := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
		if e := entry[abi.BpfServiceEntry](b.maps.ServiceEntries, s.Index); e.Key != key || e.Service != s {
			t.Errorf("service %v is %+v; its entry has %+v", key.LVS(), s, e)
		}
		if at := abi.ServiceSlot(key); want[at] == 0 || s.Index < want[at] {
			want[at] = s.Index + 1
		}
	}
	for at, has := range slots.Entry {
		if has != want[at] {
			t.Errorf("slot %d leads to entry %d, want %d (counted from 1)", at, has, want[at])
		}
	}
}

// portsOfOneSlot are ports of vip4 whose services have one slot.
func portsOfOneSlot(n int) (ports []uint16) {
	slot := func(port uint16) int {
		return abi.ServiceSlot(abi.ServiceKeyOf(lvs.ServiceKey{Protocol: lvs.TCP, Addr: vip4, Port: port}))
	}
	for port := uint16(80); len(ports) < n; port++ {
		if slot(port) == slot(80) {
			ports = append(ports, port)
		}
	}
	return ports
}

// Services that have one slot are told apart while they come and go, and their neighbour there that
// is no service has none.
func TestServicesOfOneSlot(t *testing.T) {
	ports := portsOfOneSlot(3)
	service := func(i int) lvs.VirtualServer {
		vs := virtual(lvs.TCP, vip4, lvs.RoundRobin, real(fmt.Sprintf("192.0.2.1%d", i+1), 1))
		vs.Port = ports[i]
		return vs
	}
	withPlane(t, lvs.Plan{}, func(b *bench) {
		client := 0
		for _, there := range [][]int{{0, 1}, {1}, {0, 1}, {0}, {}, {1, 0}} {
			var plan lvs.Plan
			for _, i := range there {
				plan.Services = append(plan.Services, service(i))
			}
			for _, how := range []string{"set", "taken up"} {
				if how == "set" {
					b.set(t, plan)
				} else {
					b.reopen(t)
				}
				b.wantServiceSlots(t)
				for _, p := range places {
					for i, port := range ports {
						client++
						f := syn(client)
						f.to = fmt.Sprintf("%v:%d", vip4, port)
						want := "local"
						if slices.Contains(there, i) {
							want = fmt.Sprintf("rs%d", i+1)
						}
						if got := b.pick(t, p, f); got != want {
							t.Errorf("with services %v, %s, %s: port %d goes to %q, want %q", there, how, p.name, port, got, want)
						}
					}
				}
			}
		}
	})
}

// The data plane finds a service by its slot, which it and Go compute alike.
func TestServiceIsFoundBySlot(t *testing.T) {
	udp := virtual(lvs.UDP, vip4, lvs.RoundRobin, real("192.0.2.12", 1))
	withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)), udp,
		virtual(lvs.TCP, vip6, lvs.RoundRobin, real("2001:db8::11", 1))), func(b *bench) {
		datagram, six := syn(1), syn(1)
		datagram.proto, datagram.flags = "udp", ""
		six.from, six.to = ask6.from, ask6.to
		kept := written[abi.BpfServiceKey, abi.BpfService](b.maps.Services)
		for key := range kept { // so that nothing but its slot leads to a service
			if err := b.maps.Services.Delete(key); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []frame{syn(1), datagram, six} {
			b.send(t, places[0], f, back)
		}
		for key, s := range kept {
			if err := b.maps.Services.Put(key, s); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// An earlier build has pinned neither entries nor slots: they are made of its table of services.
func TestServicesOfABuildWithoutSlots(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for _, name := range []string{abi.BpfMapServiceEntries, abi.BpfVarServiceSlots} {
			if err := os.Remove(filepath.Join(b.pinDir, name)); err != nil {
				t.Fatal(err)
			}
		}
		b.reopen(t)
		b.wantServiceSlots(t)
		for _, p := range places {
			b.send(t, p, syn(1), back)
		}
	})
}
