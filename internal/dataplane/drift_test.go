package dataplane

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// repairBound is how soon a drift is repaired; driftSlack is for a busy machine.
const (
	repairBound = 2 * time.Second
	driftSlack  = 2 * time.Second
)

// driftPlan uses every table that Go writes.
func driftPlan() lvs.Plan {
	tunnelled := real("192.0.2.13", 1)
	tunnelled.Method, tunnelled.Port = lvs.Tunnel, 81
	behind := virtual(lvs.TCP, vip4, lvs.LeastConnection, tunnelled)
	behind.Port = 81
	limited := real("192.0.2.14", 3)
	limited.Upper, limited.Lower, limited.Port = 100, 50, 82
	heavy := virtual(lvs.UDP, vip4, lvs.WeightedRoundRobin, limited)
	heavy.Port = 82
	marked := lvs.VirtualServer{ServiceKey: lvs.MarkKey(7, false), Scheduler: lvs.SourceHash, RealServers: []lvs.RealServer{real("192.0.2.11", 1)}}
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1), real("192.0.2.12", 1)), behind, heavy, marked)
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: []netip.Addr{vip4}}}
	plan.Directors = append(plan.Directors, mac(directorMAC))
	plan.Marks = []lvs.MarkRule{{Mark: 7, Destination: netip.MustParsePrefix("203.0.113.0/24")}}
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
	return plan
}

// withDrift runs the body beside the data plane's Run.
func withDrift(t *testing.T, plan lvs.Plan, body func(b *bench)) {
	withPlane(t, plan, func(b *bench) {
		b.ledger = drift.NewLedger(slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go b.ns.Do(func() { ended <- b.Run(ctx) })
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		body(b)
	})
}

// A drift is what somebody does to the kernel's side; want is the kind that is
// counted.
type driftCase struct {
	name string
	kind string
	do   func(b *bench) error
}

// first is a key that the process wrote, the same each time.
func first[K, V comparable](m *mirror[K, V]) K {
	return slices.SortedFunc(maps.Keys(m.wrote), func(a, b K) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })[0]
}

func changed[V any](v V, change func(*V)) V { change(&v); return v }

func (b *bench) serviceOf(port uint16) (bpfServiceKey, *service) {
	key := lvs.ServiceKey{Protocol: lvs.TCP, Addr: vip4, Port: port}
	return wireService(key), b.services[key]
}

func (b *bench) serverOf(addr string) uint32 {
	for key, s := range b.servers {
		if key.addr.Addr() == netip.MustParseAddr(addr) {
			return s.index
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
		return b.maps.Services.Put(key, changed(b.tables.services.wrote[key], func(s *bpfService) { s.Scheduler, s.Lease = bpfSchedulerSCHED_DH, 9 }))
	}},
	{"another service is put in", "services", func(b *bench) error {
		key, s := b.serviceOf(80)
		key.Port = wirePort(8443)
		return b.maps.Services.Put(key, bpfService{Index: s.index})
	}},
	{"all services are deleted, and others put in", "services", func(b *bench) error {
		for key := range maps.Clone(b.tables.services.wrote) {
			if err := b.maps.Services.Delete(key); err != nil {
				return err
			}
			key.Vip.Lo++
			if err := b.maps.Services.Put(key, bpfService{}); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a server is cleared", "servers", func(b *bench) error {
		return b.maps.Servers.Put(b.serverOf("192.0.2.11"), bpfServer{})
	}},
	{"a server gets another address and way", "servers", func(b *bench) error {
		i := b.serverOf("192.0.2.11")
		return b.maps.Servers.Put(i, changed(b.tables.servers.wrote[i], func(s *bpfServer) { s.Addr.Lo++; s.Way.Dst[5] = 0x66 }))
	}},
	{"a server is put in that nobody asked for", "servers", func(b *bench) error {
		return b.maps.Servers.Put(b.tables.servers.top+7, b.tables.servers.wrote[first(b.tables.servers)])
	}},
	{"a service's table is removed", "tables", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.Tables.Delete(s.index)
	}},
	{"a service gets another's table", "tables", func(b *bench) error {
		_, s := b.serviceOf(80)
		_, other := b.serviceOf(81)
		var table *ebpf.Map
		if err := b.maps.Tables.Lookup(other.index, &table); err != nil {
			return err
		}
		defer table.Close()
		return b.maps.Tables.Put(s.index, table)
	}},
	{"a service's address is changed", "service_vips", func(b *bench) error {
		_, s := b.serviceOf(80)
		return b.maps.ServiceVips.Put(s.index, wireAddr(vip6))
	}},
	{"the services are not counted", "service_counts", func(b *bench) error {
		return b.maps.ServiceCounts.Put(uint32(0), bpfServiceCount{})
	}},
	{"a tunnel's source is changed", "tunnel_sources", func(b *bench) error {
		return b.maps.TunnelSources.Put(b.serverOf("192.0.2.13"), wireAddr(vip4))
	}},
	{"a weight is changed", "loads", func(b *bench) error {
		_, err := b.loads.WriteAt([]byte{99, 0, 0, 0}, int64(b.serverOf("192.0.2.14"))*loadSize)
		return err
	}},
	{"thresholds are changed", "loads", func(b *bench) error {
		_, err := b.Plane.limits.Run(&ebpf.RunOptions{Context: bpfLimits{Server: b.serverOf("192.0.2.11"), Upper: 1}})
		return err
	}},
	{"the lease is ended", "leases", func(b *bench) error {
		i := b.leases[vi1]
		return b.maps.Leases.Put(i, changed(b.tables.leases.wrote[i], func(l *bpfLease) { l.Until = 0 }))
	}},
	{"a lease is put in", "leases", func(b *bench) error {
		return b.maps.Leases.Put(uint32(100), bpfLease{Until: 1 << 60, Vrid: 99})
	}},
	{"a VIP is guarded no more", "vips", func(b *bench) error { return b.maps.Vips.Delete(wireAddr(vip4)) }},
	{"another address is guarded", "vips", func(b *bench) error { return b.maps.Vips.Put(wireAddr(vip6), uint32(1)) }},
	{"a director is forgotten", "directors", func(b *bench) error {
		return b.maps.Directors.Delete(macWord(mac(directorMAC)))
	}},
	{"the clients are called directors", "directors", func(b *bench) error {
		return b.maps.Directors.Put(macWord(mac(clientMAC)), uint8(1))
	}},
	{"the directors' filter is cleared", "director_filter", func(b *bench) error {
		return b.maps.DirectorFilter.Put(uint32(0), uint64(0))
	}},
	{"a list of marks is removed", "mark_lists", func(b *bench) error { return b.maps.MarkLists.Delete(first(b.tables.markLists)) }},
	{"a list of marks is added", "mark_lists", func(b *bench) error {
		return b.maps.MarkLists.Put(wirePrefix(mapped(netip.MustParsePrefix("198.51.100.0/24"))), bpfMarkList{Count: 1})
	}},
	{"a rule of marks is changed", "mark_rules", func(b *bench) error {
		i := first(b.tables.markRules)
		return b.maps.MarkRules.Put(i, changed(b.tables.markRules.wrote[i], func(r *bpfMarkRule) { r.Mark++ }))
	}},
	{"a time-out is shortened", "timeouts", func(b *bench) error {
		return b.maps.Timeouts.Put(uint32(bpfConnStateSTATE_ESTABLISHED), uint32(1))
	}},
	{"the flow cache's seed is changed", "flow_knobs", func(b *bench) error {
		return b.maps.FlowKnobs.Put(uint32(0), changed(b.flows, func(k *bpfFlowKnobs) { k.Seed[2] += 2 }))
	}},
	{"half-open connections get no bound", "rooms", func(b *bench) error {
		var r bpfRoom
		if err := b.maps.Rooms.Lookup(uint32(0), &r); err != nil {
			return err
		}
		r.Limit = 0
		return b.maps.Rooms.Put(uint32(0), r)
	}},
	{"a table's pin is removed", "pins", func(b *bench) error { return os.Remove(filepath.Join(b.pinDir, "conns")) }},
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
		return os.Remove(b.devices["eth0"].ingress.pin.path)
	}},
	{"the program is detached", "attachments", func(b *bench) error {
		return b.devices["eth0"].ingress.link.(interface{ Detach() error }).Detach()
	}},
	{"the guard is detached", "attachments", func(b *bench) error {
		return b.devices["eth0"].guard.link.(interface{ Detach() error }).Detach()
	}},
	{"another program is put in the place of ours", "attachments", func(b *bench) error {
		other, err := passing(ebpf.SchedCLS)
		if err != nil {
			return err
		}
		defer other.Close()
		return b.devices["eth0"].ingress.link.Update(other)
	}},
	{"the program is detached, and the folder of pins removed", "attachments", func(b *bench) error {
		if err := b.devices["eth0"].ingress.link.(interface{ Detach() error }).Detach(); err != nil {
			return err
		}
		return os.RemoveAll(b.pinDir)
	}},
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

// Somebody changes one thing: within the bound the kernel's side is as it was, the
// drift is counted, and new connections reach their servers.
func TestDriftIsRepaired(t *testing.T) {
	withDrift(t, driftPlan(), func(b *bench) {
		b.renew(t, time.Hour)
		want := b.contents(t)
		port := 2000
		for _, tt := range driftCases {
			t.Run(tt.name, func(t *testing.T) {
				before := b.drifts(t)[tt.kind]
				b.do(t, tt.do)
				begun := time.Now()
				for wrong := "?"; wrong != ""; time.Sleep(20 * time.Millisecond) {
					now := b.drifts(t)[tt.kind]
					wrong = b.differs(t, want)
					if now.Found == before.Found || now.Repaired < now.Found {
						wrong += fmt.Sprintf("counted %s of %s, before %s", now, tt.kind, before)
					}
					if took := time.Since(begun); took > repairBound+driftSlack {
						t.Fatalf("not repaired after %s: %s", took, wrong)
					}
				}
				t.Logf("repaired after %s", time.Since(begun).Round(time.Millisecond))
				for _, server := range []string{"rs2", "rs1"} {
					port++
					if got := b.pick(t, places[0], syn(port)); got != "rs1" && got != "rs2" {
						t.Errorf("a client gets %q, want a server like %s", got, server)
					}
				}
			})
		}
		for kind, count := range b.drifts(t) {
			if count.Found != count.Repaired || kind == driftCompare {
				t.Errorf("%s: %s", kind, count)
			}
		}
	})
}

// do spoils what is compared, between two comparisons: a test reads the mirrors.
func (b *bench) do(t *testing.T, spoil func(b *bench) error) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaseMu.Lock()
	defer b.leaseMu.Unlock()
	if err := spoil(b); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) drifts(t *testing.T) map[string]drift.Count {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.Drift
}

// contents is the kernel's side as a next process would find it, but for what the
// data plane itself writes: tables by way of their pins, and what is attached.
func (b *bench) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"services", "servers", "service_vips", "service_counts", "tunnel_sources", "leases", "vips",
		"directors", "director_filter", "mark_lists", "mark_rules", "timeouts"} {
		table, err := ebpf.LoadPinnedMap(filepath.Join(b.pinDir, name), nil)
		if err != nil {
			all[name] = err.Error()
			continue
		}
		all[name] = entriesOf(t, name, table)
		table.Close()
	}
	for _, of := range []struct{ name, prefix string }{{"pins", ""}, {"ingress", "ingress_"}, {"guard", "guard_"}} {
		all[of.name] = b.pinsNow(of.prefix)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, s := range b.services {
		table, _ := b.table(s)
		if len(table) > tableHead {
			table[tableCursor], table[tableHead] = 0, 0
		}
		all["table of "+key.String()] = fmt.Sprint(table)
	}
	for key, s := range b.servers {
		now, err := b.limitsNow(s.index)
		all["load of "+key.addr.String()] = fmt.Sprint(now, err)
	}
	var r bpfRoom
	err := b.maps.Rooms.Lookup(uint32(0), &r)
	all["rooms"] = fmt.Sprint(r.Limit, err)
	var knobs bpfFlowKnobs
	err = b.maps.FlowKnobs.Lookup(uint32(0), &knobs)
	all["flow_knobs"] = fmt.Sprint(knobs.Seed, knobs.Idle, err)
	return all
}

// pinsNow lists the pins of this prefix, and of links whether they are attached.
func (b *bench) pinsNow(prefix string) string {
	paths, _ := filepath.Glob(filepath.Join(b.pinDir, prefix+"*"))
	var list []string
	for _, path := range paths {
		entry := filepath.Base(path)
		if l, err := link.LoadPinnedLink(path, nil); err == nil {
			if info, err := l.Info(); err == nil {
				entry += fmt.Sprintf(" on %d", deviceOf(info))
				if p, err := ebpf.NewProgramFromID(info.Program); err == nil {
					entry += " " + p.String()[:len("SchedCLS(")]
					details, _ := p.Info()
					entry += details.Name
					p.Close()
				}
			}
			l.Close()
		}
		list = append(list, entry)
	}
	return strings.Join(list, ", ")
}

// entriesOf lists a table's entries, an array's only up to where the tests write.
func entriesOf(t *testing.T, name string, table *ebpf.Map) string {
	t.Helper()
	var list []string
	note := func(key any, value []byte) {
		if name == "servers" && len(value) == 64 {
			clear(value[44:48]) // the last sweep
		}
		list = append(list, fmt.Sprintf("%x:%x", key, value))
	}
	if table.Type() == ebpf.Array {
		for i := range min(table.MaxEntries(), 128) {
			value, err := table.LookupBytes(i)
			if err != nil {
				t.Fatal(err)
			}
			note(i, value)
		}
		return strings.Join(list, " ")
	}
	var key, value []byte
	for entries := table.Iterate(); entries.Next(&key, &value); {
		note(key, slices.Clone(value))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// differs says what is not as it was.
func (b *bench) differs(t *testing.T, want map[string]string) (wrong string) {
	t.Helper()
	got := b.contents(t)
	for name := range want {
		if got[name] != want[name] {
			wrong += fmt.Sprintf("%s is\n%s\nwant\n%s\n", name, got[name], want[name])
		}
	}
	return wrong
}

// After plans of every kind, with traffic, sweeps and leases that are renewed,
// nothing is taken for drift.
func TestNoDriftWithoutOne(t *testing.T) {
	var schedulerPlans []lvs.Plan
	for _, s := range slices.Sorted(maps.Keys(schedulers)) {
		schedulerPlans = append(schedulerPlans, twoServers(s))
	}
	plans := append(schedulerPlans, everythingPlan(), driftPlan(), lvs.Plan{}, driftPlan())
	withDrift(t, lvs.Plan{}, func(b *bench) {
		for i, plan := range plans {
			plan.Devices = []lvs.Device{{Name: "eth0", Hook: []lvs.Hook{lvs.HookTC, lvs.HookGeneric, lvs.HookNative}[i/5%3]}}
			b.set(t, plan)
			if len(plan.Instances) > 0 {
				b.renew(t, time.Minute)
			}
			b.picks(t, places[i%2], 1000*(1+i%50), 20)
			if i%4 == 3 || i >= len(schedulerPlans) {
				b.compared(t)
			}
		}
		for range 3 {
			b.compared(t)
		}
		if got := b.drifts(t); len(got) > 0 {
			t.Errorf("counted %v on a machine that nobody touched", got)
		}
	})
}

// compared waits until everything has been compared once more.
func (b *bench) compared(t *testing.T) {
	t.Helper()
	time.Sleep(compareEvery + compareEvery/2)
}

// What cannot be repaired is told when it begins and when it has been repaired, and
// counted once.
func TestDriftIsToldOnce(t *testing.T) {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookNative}}}
	withPlane(t, plan, func(b *bench) {
		var log lockedBuffer
		b.ledger = drift.NewLedger(slog.New(slog.NewTextHandler(&log, nil)))
		other, err := passing(ebpf.XDP)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := b.devices["eth0"].ingress.link.(interface{ Detach() error }).Detach(); err != nil {
			t.Fatal(err)
		}
		theirs, err := link.AttachXDP(link.XDPOptions{Interface: b.index, Program: other, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			b.repairDrift()
		}
		if err := theirs.Close(); err != nil {
			t.Fatal(err)
		}
		nstest.WaitFor(t, "attached again", func() bool {
			b.repairDrift()
			return b.drifts(t)[driftAttachment].Repaired == 1
		})
		for range 3 {
			b.repairDrift()
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "cannot be repaired") {
			t.Errorf("%d lines, want 2:\n%s", n, log.String())
		}
		if got, want := b.drifts(t)[driftAttachment], (drift.Count{Found: 1, Repaired: 1}); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
	})
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A table in force is the data plane's alone.
func TestTablesInForceAreFrozen(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		_, s := b.serviceOf(80)
		var table *ebpf.Map
		if err := b.maps.Tables.Lookup(s.index, &table); err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		if err := table.Put(uint32(tableSlots), uint64(5)); err == nil {
			t.Error("a table in force could be written to")
		}
		if got := b.picks(t, places[0], 1, 4); got != "rs2 rs1 rs2 rs1" {
			t.Errorf("picked %s, want the cursor to go on", got)
		}
	})
}

// Two that run on the same pins would undo each other's work.
func TestOneRunsOnThePins(t *testing.T) {
	withPlane(t, driftPlan(), func(b *bench) {
		first, err := b.own()
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		err = b.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "another weir") || !strings.Contains(err.Error(), b.pinDir) {
			t.Errorf("got %v, want that another weir has the pins", err)
		}
	})
}

// On kernels without tcx a filter holds the program: it is seen to be gone, and the
// pin comes again.
func TestHoldOfAFilter(t *testing.T) {
	withPlane(t, lvs.Plan{}, func(b *bench) {
		path := b.guardPin(b.index)
		attach := func() *hold {
			program, err := passing(ebpf.SchedCLS)
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			if err := b.attachFilter(path, program, b.index, netlnk.FilterEgress); err != nil {
				t.Fatal(err)
			}
			h, err := holdFilter(path, program, b.index, netlnk.FilterEgress)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := attach()
		if h.off() || h.pin.lost() {
			t.Fatalf("off: %t, pin lost: %t, right after it was attached", h.off(), h.pin.lost())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if !h.pin.lost() {
			t.Error("the pin was removed, and is not missed")
		}
		if err := h.repin(); err != nil || h.pin.lost() {
			t.Errorf("pinned again: %v, lost: %t", err, h.pin.lost())
		}
		for what, spoil := range map[string]func() error{
			"the filter is deleted": func() error { return netlnk.DeleteFilter(b.index, netlnk.FilterEgress) },
			"another program is there": func() error {
				other, err := passing(ebpf.SchedCLS)
				if err != nil {
					return err
				}
				defer other.Close()
				return netlnk.SetFilter(b.index, netlnk.FilterEgress, other.FD(), "other")
			},
		} {
			h := attach()
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if !h.off() {
				t.Errorf("%s: not noticed", what)
			}
		}
		if err := detach(path); err != nil {
			t.Error(err)
		}
	})
}
