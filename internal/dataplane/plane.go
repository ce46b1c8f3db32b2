// Package dataplane loads the eBPF programs, keeps their tables, and makes them
// forward what a lvs.Plan says. Programs and tables are pinned: packets flow on
// while no weir process runs, and the next process takes up what it finds.
package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/sched"
	"weir/lvs"
)

// Plane is the data plane of this network namespace.
type Plane struct {
	log    *slog.Logger
	pinDir string
	spec   *ebpf.CollectionSpec
	maps   abi.BpfMaps
	tables mirrors // of those maps
	sweep  *ebpf.Program
	// cacheSweep is the sweep of lblc's and lblcr's cache.
	templateSweep, cacheSweep *ebpf.Program
	// limits sets a server's thresholds.
	limits *ebpf.Program
	loads  *ebpf.Memory
	cycle  int // Options.Cycle
	ledger *drift.Ledger
	// compareEvery is how often drift is looked for.
	compareEvery time.Duration
	// adopted is true when an earlier process had left services.
	adopted bool

	mu            sync.Mutex // everything below, and the tables' contents
	services      map[lvs.ServiceKey]*service
	servers       map[serverKey]*server
	indexes       indexes
	devices       map[string]*device
	directors     map[uint64]bool
	marks         []lvs.MarkRule // nil before they are known
	epoch         uint32         // number of the last sweep of everything
	swept         time.Time      // when that was
	liveTemplates int            // that it met
	lettingGo     bool           // a server has left whose connections are to end
	cards         cards
	live          int // connections that the last sweep of any kind met
	flows         abi.BpfFlowKnobs
	timeouts      timeouts
	devicesWanted []lvs.Device
	retries       map[string]retry
	programs      map[programKey]*ebpf.Program // loaded for devices
	planned       bool                         // a plan has been set
	mapPins       map[string]kmap.Pin
	owns          owns
	tail          tail
	owned         *os.File // the folder of the pins, while Run runs
	// cacheLines is how many lines it left in the cache of destinations.
	cacheLines uint32

	narrows narrows // has its own lock

	leaseMu sync.Mutex
	leases  map[lvs.InstanceID]uint32
}

// service is a virtual server that the tables hold or held.
type service struct {
	index     uint32
	present   bool
	scheduler lvs.Scheduler // "" before it has one
	layout    *sched.Layout // of its table; nil before it is known
	table     ebpf.MapID    // the one that was put in force
	// written is what Set wrote last, with this lease: where a plan says the same,
	// nothing is written. Nil has the next Set write it all.
	written *lvs.VirtualServer
	lease   uint32
	servers []*server // in service
	tally   tally
}

type serverKey struct {
	service uint32
	addr    netip.AddrPort
}

// server is a real server that the tables hold, or that connections still
// refer to.
type server struct {
	key     serverKey
	index   uint32
	present bool
	// written is what Set wrote last, while it is present; nil before that.
	written *lvs.RealServer
	method  lvs.ForwardMethod
	// keepsPort: packets keep the port that the client asked for.
	keepsPort bool
	ip4       bool // its service is
	limits    limits
	removed   uint32 // the epoch in which it left
	letsGo    bool   // what it had then is to end
	hop       netlnk.NextHop
	tally     tally
}

// Open loads the programs and makes or adopts the pinned tables.
func Open(o Options) (*Plane, error) {
	o, err := o.checked()
	if err != nil {
		return nil, fmt.Errorf("sizes of the data plane: %w", err)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the locked-memory limit: %w", err)
	}
	if err := kmap.MakePinDir(o.PinDir); err != nil {
		return nil, err
	}
	spec, err := abi.LoadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the embedded BPF object: %w", err)
	}
	if err := size(spec, o); err != nil {
		return nil, err
	}
	p := &Plane{
		log: o.Log, pinDir: o.PinDir, spec: spec,
		services: map[lvs.ServiceKey]*service{}, servers: map[serverKey]*server{},
		devices: map[string]*device{}, directors: map[uint64]bool{},
		retries: map[string]retry{}, programs: map[programKey]*ebpf.Program{},
		ledger: drift.NewLedger(o.Log), compareEvery: compareEvery,
		leases: map[lvs.InstanceID]uint32{}, cycle: o.Cycle, narrows: narrows{by: map[netip.Addr]narrow{}},
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	if err := p.adopt(); err != nil {
		p.Close()
		return nil, fmt.Errorf("take up the tables pinned in %s: %w", o.PinDir, err)
	}
	return p, nil
}

// load makes or opens the tables and the sweep, which belongs to no device.
func (p *Plane) load() error {
	var objects struct {
		abi.BpfMaps
		Sweep         *ebpf.Program `ebpf:"weir_sweep"`
		TemplateSweep *ebpf.Program `ebpf:"weir_sweep_templates"`
		CacheSweep    *ebpf.Program `ebpf:"weir_sweep_cache"`
		Limits        *ebpf.Program `ebpf:"weir_limits"`
		Jiffies       *ebpf.Program `ebpf:"weir_jiffies"`
	}
	err := p.spec.LoadAndAssign(&objects, p.pins())
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		p.log.Warn("pinned tables do not fit, starting with empty ones", "pins", p.pinDir, "error", err)
		if err := kmap.RemovePins(p.pinDir); err != nil {
			return err
		}
		err = p.spec.LoadAndAssign(&objects, p.pins())
	}
	if err != nil {
		return fmt.Errorf("load the data plane: %w", err)
	}
	p.maps, p.limits = objects.BpfMaps, objects.Limits
	p.sweep, p.templateSweep, p.cacheSweep = objects.Sweep, objects.TemplateSweep, objects.CacheSweep
	p.cards.end = p.maps.Cards.MaxEntries() // nobody knows what an earlier process left
	if p.loads, err = p.maps.Loads.Memory(); err != nil {
		return fmt.Errorf("map the servers' loads: %w", err)
	}
	if err := p.notePins(); err != nil {
		return err
	}
	if err := p.mirrorTables(); err != nil {
		return err
	}
	defer objects.Jiffies.Close()
	if err := p.setClock(objects.Jiffies); err != nil {
		return err
	}
	p.takeUpOwns()
	if err := p.takeUpTail(); err != nil {
		return err
	}
	if err := p.setRoom(); err != nil {
		return err
	}
	if err := p.startFlows(); err != nil {
		return err
	}
	return p.takeUpTimeouts()
}

// pins has tables opened where they are pinned, or pinned there.
func (p *Plane) pins() *ebpf.CollectionOptions {
	return &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: p.pinDir}}
}

// Close lets go of the data plane without stopping it: what is pinned stays and
// forwards on.
func (p *Plane) Close() error {
	for _, d := range p.devices {
		d.close()
	}
	for _, program := range p.programs {
		program.Close()
	}
	for _, program := range []*ebpf.Program{p.sweep, p.templateSweep, p.cacheSweep, p.limits} {
		if program != nil {
			program.Close()
		}
	}
	return p.maps.Close()
}

// Remove takes the data plane away: it leaves every device, and nothing stays
// pinned.
func (p *Plane) Remove() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.detachAll(); err != nil {
		return err
	}
	p.Close()
	if err := kmap.RemovePins(p.pinDir); err != nil {
		return err
	}
	if err := os.Remove(p.pinDir); err != nil {
		return fmt.Errorf("remove the folder of the pins: %w", err)
	}
	return nil
}
