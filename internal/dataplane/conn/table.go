// Package conn keeps the table of connections: its time-outs, the sweep that deletes
// connections whose time is over, the flow cache in front of it, and the caches of
// persistent clients and of destinations behind it.
package conn

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
)

// Programs are those of the object that this package runs; they belong to no device.
type Programs struct {
	Sweep     *ebpf.Program `ebpf:"weir_sweep"`
	Templates *ebpf.Program `ebpf:"weir_sweep_templates"`
	List      *ebpf.Program `ebpf:"weir_list_templates"`
	Cache     *ebpf.Program `ebpf:"weir_sweep_cache"`
	Jiffies   *ebpf.Program `ebpf:"weir_jiffies"`
	Cut       *ebpf.Program `ebpf:"weir_cut"`
}

// Close closes those that are loaded.
func (p Programs) Close() {
	for _, program := range []*ebpf.Program{p.Sweep, p.Templates, p.List, p.Cache, p.Jiffies, p.Cut} {
		if program != nil {
			program.Close()
		}
	}
}

// Servers is what the sweep asks of the servers that connections refer to. It calls
// them with its own lock.
type Servers interface {
	// Persistent says whether there is a template of any server.
	Persistent() bool
	// Remembers says whether a service's scheduler remembers destinations.
	Remembers() bool
	// Forget is called after a sweep of everything. Servers and services that were removed
	// before the sweep began, and that it found no connection of, may be forgotten.
	Forget(epoch uint32) error
}

// Table is the table of connections and what belongs to it.
type Table struct {
	log      *slog.Logger
	maps     *abi.Maps
	programs Programs
	servers  Servers
	epoch    atomic.Uint32 // the number of the last sweep of everything
	live     atomic.Int64  // connections that the last sweep of any kind met

	looking sync.Mutex // guards opened
	opened  opened

	mu         sync.Mutex // guards the fields below, and runs of the sweeps
	clocks     *kmap.Mirror[uint32, abi.BpfClock]
	limits     *kmap.Mirror[uint32, uint32] // the time-outs, in ticks
	flowKnobs  *kmap.Mirror[uint32, abi.BpfFlowKnobs]
	cacheLines uint32 // that the last sweep of everything left in the cache of destinations
	expiry     expiry
	clients    templates
	flows      abi.BpfFlowKnobs
	timeouts   Timeouts
}

// Open takes up the tables that an earlier process left. Start comes next.
func Open(log *slog.Logger, m *abi.Maps, programs Programs, mirrors *kmap.Mirrors) *Table {
	t := &Table{log: log, maps: m, programs: programs}
	t.expiry.end = m.ExpiryEntries.MaxEntries() // nobody knows what an earlier process left
	t.clocks = kmap.Add[uint32, abi.BpfClock](mirrors, abi.BpfMapClocks, m.Clocks, &t.mu, nil)
	t.limits = kmap.Add[uint32, uint32](mirrors, abi.BpfMapTimeouts, m.Timeouts, &t.mu, nil)
	t.flowKnobs = kmap.Add[uint32, abi.BpfFlowKnobs](mirrors, abi.BpfMapFlowKnobs, m.FlowKnobs, &t.mu, nil)
	return t
}

// Start sets what the data plane needs before its first packet. It is called once,
// before any other method.
func (t *Table) Start(servers Servers) error {
	t.servers = servers
	for _, start := range []func() error{t.setClock, t.startHalfOpen, t.startFlows, t.startTemplates, t.takeUpTimeouts} {
		if err := start(); err != nil {
			return err
		}
	}
	return nil
}

// Epoch is the number of the last sweep of everything.
func (t *Table) Epoch() uint32 { return t.epoch.Load() }

// Live is how many connections the last sweep of any kind met.
func (t *Table) Live() int { return int(t.live.Load()) }
