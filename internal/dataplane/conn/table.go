// Package conn keeps the table of connections: its time-outs, the sweep that deletes
// connections whose time is over, the flow cache in front of it, and the caches of
// persistent clients and of destinations behind it.
package conn

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	Settle    *ebpf.Program `ebpf:"weir_settle_flows"`
	Move      *ebpf.Program `ebpf:"weir_move"`
	TakeOlder *ebpf.Program `ebpf:"weir_take_older"`
}

// Close closes those that are loaded.
func (p Programs) Close() {
	for _, program := range []*ebpf.Program{p.Sweep, p.Templates, p.List, p.Cache, p.Jiffies, p.Cut, p.Settle, p.Move, p.TakeOlder} {
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
	shape    shape
	inner    map[string]*ebpf.MapSpec // the tables of a table of tables, by its name
	afford   func(bytes uint64) error // an error where there is less memory than that
	epoch    atomic.Uint32            // the number of the last sweep of everything
	live     atomic.Int64             // connections that the last sweep of any kind met

	step     atomic.Int32 // of shape's, in force
	growing  sync.Mutex   // guards the fields below, and is held while tables are made
	growWait time.Time    // until when nothing is made
	index    uint32       // in force, and the one whose connections have not all entered it,
	before   uint32       // or 0 (struct slot_sizes)

	older older

	looking sync.Mutex // guards opened
	opened  opened

	mu         sync.Mutex // guards the fields below, and runs of the sweeps
	clocks     *kmap.Mirror[uint32, abi.BpfClock]
	limits     *kmap.Mirror[uint32, uint32] // the time-outs, in ticks
	flowKnobs  *kmap.Mirror[uint32, abi.BpfFlowKnobs]
	sizes      *kmap.Mirror[uint32, abi.BpfSlotSizes]
	cacheLines uint32 // that the last sweep of everything left in the cache of destinations
	expiry     expiry
	clients    templates
	flows      abi.BpfFlowKnobs
	timeouts   Timeouts
}

// Options are what a Table is made of.
type Options struct {
	Log         *slog.Logger
	Maps        *abi.Maps
	Spec        *ebpf.CollectionSpec // that Size has seen
	Programs    Programs
	Connections int                      // for how many there is to be room in the end
	Older       bool                     // there are tables of an older build to take connections from
	Afford      func(bytes uint64) error // an error where there is less memory than that
}

// Open takes up the tables that an earlier process left. Start comes next.
func Open(o Options, mirrors *kmap.Mirrors) *Table {
	m := o.Maps
	t := &Table{log: o.Log, maps: m, programs: o.Programs, shape: shapeOf(uint32(o.Connections)), afford: o.Afford}
	t.older.from.Store(o.Older)
	t.inner = map[string]*ebpf.MapSpec{}
	for _, name := range []string{abi.BpfMapConnSlots, abi.BpfMapConnIndex, abi.BpfMapFlowChunks} {
		t.inner[name] = o.Spec.Maps[name].InnerMap
	}
	t.clocks = kmap.Add[uint32, abi.BpfClock](mirrors, abi.BpfVarClocks, m.Clocks, &t.mu, nil)
	t.limits = kmap.Add[uint32, uint32](mirrors, abi.BpfMapTimeouts, m.Timeouts, &t.mu, nil)
	t.sizes = kmap.Add[uint32, abi.BpfSlotSizes](mirrors, abi.BpfVarSlotSizes, m.SlotSizes, &t.mu, nil)
	t.flowKnobs = kmap.Add[uint32, abi.BpfFlowKnobs](mirrors, abi.BpfVarFlowKnobs, m.FlowKnobs, &t.mu, nil)
	return t
}

// Start sets what the data plane needs before its first packet. It is called once,
// before any other method.
func (t *Table) Start(servers Servers) error {
	t.servers = servers
	for _, start := range []func() error{t.setClock, t.startFlows, t.startTables, t.startTemplates, t.takeUpTimeouts} {
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
