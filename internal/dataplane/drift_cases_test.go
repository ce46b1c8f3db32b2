package dataplane

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/mark"
	"weir/lvs"
)

// A drift is what somebody does to the kernel's side; want is the kind that is
// counted.
type driftCase struct {
	name string
	kind string
	do   func(b *bench) error
}

// written are the entries of a table that are not zero.
func written[K, V comparable](m *ebpf.Map) map[K]V {
	all := map[K]V{}
	var key K
	var value V
	for entries := m.Iterate(); entries.Next(&key, &value); {
		if value != *new(V) {
			all[key] = value
		}
	}
	return all
}

// entry reads one of a table, which is there.
func entry[V any](m *ebpf.Map, key any) (value V) {
	if err := m.Lookup(key, &value); err != nil {
		panic(err)
	}
	return value
}

// first is a key that the process wrote, the same each time.
func first[K, V comparable](m *ebpf.Map) K {
	return slices.SortedFunc(maps.Keys(written[K, V](m)), func(a, b K) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })[0]
}

func changed[V any](v V, change func(*V)) V { change(&v); return v }

func (b *bench) serviceOf(port uint16) (abi.BpfServiceKey, abi.BpfService) {
	key := lvs.ServiceKey{Protocol: lvs.TCP, Addr: vip4, Port: port}
	return abi.ServiceKeyOf(key), entry[abi.BpfService](b.maps.Services, abi.ServiceKeyOf(key))
}

func (b *bench) serverOf(addr string) uint32 {
	for index, s := range written[uint32, abi.BpfServer](b.maps.Servers) {
		if s.Addr.Netip() == netip.MustParseAddr(addr) {
			return index
		}
	}
	panic("no server " + addr)
}

var driftCases = []driftCase{
	{"a service is deleted", "services", func(b *bench) error {
		key, _ := b.serviceOf(80)
		return b.maps.Services.Delete(key)
	}},
	{"a service's scheduler and lease are changed", "services", func(b *bench) error {
		key, _ := b.serviceOf(80)
		return b.maps.Services.Put(key, changed(entry[abi.BpfService](b.maps.Services, key), func(s *abi.BpfService) { s.Scheduler, s.Lease = abi.BpfSchedulerSCHED_DH, 9 }))
	}},
	{"another service is put in", "services", func(b *bench) error {
		key, s := b.serviceOf(80)
		key.Port = abi.Port(8443)
		return b.maps.Services.Put(key, abi.BpfService{Index: s.Index})
	}},
	{"all services are deleted, and others put in", "services", func(b *bench) error {
		for key := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
			if err := b.maps.Services.Delete(key); err != nil {
				return err
			}
			key.Vip.Lo++
			if err := b.maps.Services.Put(key, abi.BpfService{}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a server is cleared", "servers", func(b *bench) error {
		return b.maps.Servers.Put(b.serverOf("192.0.2.11"), abi.BpfServer{})
	}},
	{"a server gets another address and way", "servers", func(b *bench) error {
		i := b.serverOf("192.0.2.11")
		return b.maps.Servers.Put(i, changed(entry[abi.BpfServer](b.maps.Servers, i), func(s *abi.BpfServer) { s.Addr.Lo++; s.NextHop.Dst[5] = 0x66 }))
	}},
	{"a server is put in that nobody asked for", "servers", func(b *bench) error {
		all := written[uint32, abi.BpfServer](b.maps.Servers)
		last := slices.Max(slices.Collect(maps.Keys(all)))
		return b.maps.Servers.Put(last+7, all[last])
	}},
	{"a service's table is removed", "tables", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.Tables.Delete(s.Index)
	}},
	{"a service gets another's table", "tables", func(b *bench) error {
		_, s := b.serviceOf(80)
		_, other := b.serviceOf(81)
		var table *ebpf.Map
		if err := b.maps.Tables.Lookup(other.Index, &table); err != nil {
			return err
		}
		defer table.Close()
		return b.maps.Tables.Put(s.Index, table)
	}},
	{"a service's address is changed", "service_vips", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.ServiceVips.Put(s.Index, abi.AddrOf(vip6))
	}},
	{"a service's key is lost", "service_keys", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.ServiceKeys.Put(s.Index, abi.BpfServiceKey{})
	}},
	{"a service's entry is changed", "service_entries", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.ServiceEntries.Put(s.Index, changed(entry[abi.BpfServiceEntry](b.maps.ServiceEntries, s.Index), func(e *abi.BpfServiceEntry) { e.Service.Lease = 77 }))
	}},
	{"a service's slot leads to another", "service_slots", func(b *bench) error {
		key, _ := b.serviceOf(80)
		_, other := b.serviceOf(81)
		return b.maps.ServiceSlots.Put(uint32(0), changed(entry[abi.BpfServiceSlots](b.maps.ServiceSlots, uint32(0)), func(s *abi.BpfServiceSlots) {
			s.Entry[abi.ServiceSlot(key)] = other.Index + 1
		}))
	}},
	{"the services are not counted", "service_counts", func(b *bench) error {
		return b.maps.ServiceCounts.Put(uint32(0), abi.BpfServiceCount{})
	}},
	{"packets to the services pass by", "addr_filter", func(b *bench) error {
		return b.maps.AddrFilter.Put(uint32(0), changed(entry[abi.BpfAddrFilter](b.maps.AddrFilter, uint32(0)), func(f *abi.BpfAddrFilter) {
			for i := range f.Flags {
				f.Flags[i] = abi.AddrPasses
			}
		}))
	}},
	{"our address on the way to servers is changed", "local_addrs", func(b *bench) error {
		return b.maps.LocalAddrs.Put(first[uint32, abi.BpfAddr](b.maps.LocalAddrs), abi.AddrOf(vip4))
	}},
	{"a weight is changed", "loads", func(b *bench) error {
		i := b.serverOf("192.0.2.14")
		return b.maps.Loads.Put(i, changed(entry[abi.BpfLoad](b.maps.Loads, i), func(l *abi.BpfLoad) { l.Weight = 99 }))
	}},
	{"thresholds are changed", "loads", func(b *bench) error {
		_, err := b.programs.Limits.Run(&ebpf.RunOptions{Context: abi.BpfLimits{Server: b.serverOf("192.0.2.11"), Upper: 1}})
		return err
	}},
	{"the lease is ended", "leases", func(b *bench) error {
		i := b.leaseOf(vi1)
		return b.maps.Leases.Put(i, changed(entry[abi.BpfLease](b.maps.Leases, i), func(l *abi.BpfLease) { l.Until = 0 }))
	}},
	{"a lease is put in", "leases", func(b *bench) error {
		return b.maps.Leases.Put(uint32(100), abi.BpfLease{Until: 1 << 60, Vrid: 99})
	}},
	{"a VIP is guarded no more", "vips", func(b *bench) error { return b.maps.Vips.Delete(abi.AddrOf(vip4)) }},
	{"another address is guarded", "vips", func(b *bench) error { return b.maps.Vips.Put(abi.AddrOf(vip6), uint32(1)) }},
	{"a director is forgotten", "directors", func(b *bench) error {
		return b.maps.Directors.Delete(abi.MACWord(mac(directorMAC)))
	}},
	{"the clients are called directors", "directors", func(b *bench) error {
		return b.maps.Directors.Put(abi.MACWord(mac(clientMAC)), uint8(1))
	}},
	{"the directors' filter is cleared", "director_filter", func(b *bench) error {
		return b.maps.DirectorFilter.Put(uint32(0), uint64(0))
	}},
	{"a list of marks is removed", "mark_lists", func(b *bench) error {
		return b.maps.MarkLists.Delete(first[abi.BpfMarkPrefix, abi.BpfMarkList](b.maps.MarkLists))
	}},
	{"a list of marks is added", "mark_lists", func(b *bench) error {
		return b.maps.MarkLists.Put(abi.MarkPrefixOf(mark.Mapped(netip.MustParsePrefix("198.51.100.0/24"))), abi.BpfMarkList{Count: 1})
	}},
	{"a rule of marks is changed", "mark_rules", func(b *bench) error {
		i := first[uint32, abi.BpfMarkRule](b.maps.MarkRules)
		return b.maps.MarkRules.Put(i, changed(entry[abi.BpfMarkRule](b.maps.MarkRules, i), func(r *abi.BpfMarkRule) { r.Mark++ }))
	}},
	{"a time-out is shortened", "timeouts", func(b *bench) error {
		return b.maps.Timeouts.Put(uint32(abi.BpfConnStateSTATE_ESTABLISHED), uint32(1))
	}},
	{"the flow cache's seed is changed", "flow_knobs", func(b *bench) error {
		return b.maps.FlowKnobs.Put(uint32(0), changed(b.knobs(), func(k *abi.BpfFlowKnobs) { k.Seed[2] += 2 }))
	}},
	{"half-open connections get no bound", "slot_sizes", func(b *bench) error {
		return b.maps.SlotSizes.Put(uint32(0), changed(entry[abi.BpfSlotSizes](b.maps.SlotSizes, uint32(0)), func(s *abi.BpfSlotSizes) { s.HalfOpen = 0 }))
	}},
	{"the index of connections is taken away", "conn_index", func(b *bench) error { return b.maps.ConnIndex.Delete(uint32(0)) }},
	{"slots of connections are taken away", "conn_slots", func(b *bench) error { return b.maps.ConnSlots.Delete(uint32(0)) }},
	{"lines of the flow cache are taken away", "flow_chunks", func(b *bench) error { return b.maps.FlowChunks.Delete(uint32(0)) }},
	{"a table's pin is removed", "pins", func(b *bench) error { return os.Remove(filepath.Join(b.pinDir, "conn_slots")) }},
	{"a table's pin leads to another", "pins", func(b *bench) error {
		if err := os.Remove(filepath.Join(b.pinDir, "servers")); err != nil {
			return err
		}
		clone, err := b.maps.Loads.Clone()
		if err != nil {
			return err
		}
		defer clone.Close()
		return clone.Pin(filepath.Join(b.pinDir, "servers"))
	}},
	{"the whole folder of pins is removed", "pins", func(b *bench) error { return os.RemoveAll(b.pinDir) }},
	{"a link's pin is removed", "pins", func(b *bench) error {
		return os.Remove(b.linkPin("ingress", b.index))
	}},
	{"the program is detached", "attachments", func(b *bench) error {
		return b.detach("ingress", b.index)
	}},
	{"the program at egress is detached", "attachments", func(b *bench) error {
		return b.detach("egress", b.index)
	}},
	{"the program on lo is detached", "attachments", func(b *bench) error {
		return b.detach("egress", 1) // lo's index
	}},
	{"the program that it calls is taken away", "tails", func(b *bench) error { return b.maps.Tails.Delete(uint32(0)) }},
	{"it is to call another", "tails", func(b *bench) error {
		other, err := passing(ebpf.SchedCLS)
		if err != nil {
			return err
		}
		defer other.Close()
		return b.maps.Tails.Put(uint32(0), other)
	}},
	{"another program is put in the place of ours", "attachments", func(b *bench) error {
		other, err := passing(ebpf.SchedCLS)
		if err != nil {
			return err
		}
		defer other.Close()
		l, err := link.LoadPinnedLink(b.linkPin("ingress", b.index), nil)
		if err != nil {
			return err
		}
		defer l.Close()
		return l.Update(other)
	}},
	{"the program is detached, and the folder of pins removed", "attachments", func(b *bench) error {
		if err := b.detach("ingress", b.index); err != nil {
			return err
		}
		return os.RemoveAll(b.pinDir)
	}},
}

// linkPin is where the link of a device is pinned.
func (b *bench) linkPin(kind string, index int) string {
	paths, err := filepath.Glob(filepath.Join(b.pinDir, fmt.Sprintf("%s_%d*", kind, index)))
	if err != nil || len(paths) != 1 {
		panic(fmt.Sprintf("pins of %s: %v, %v", kind, paths, err))
	}
	return paths[0]
}

// detach takes what is pinned there off its device.
func (b *bench) detach(kind string, index int) error {
	l, err := link.LoadPinnedLink(b.linkPin(kind, index), nil)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Detach()
}

func (b *bench) leaseOf(id lvs.InstanceID) uint32 {
	index, _ := b.leases.Index(id)
	return index
}

// passing is a program of somebody else.
func passing(kind ebpf.ProgramType) (*ebpf.Program, error) {
	verdict := int32(-1) // TC_ACT_UNSPEC
	if kind == ebpf.XDP {
		verdict = 2 // XDP_PASS
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
}
