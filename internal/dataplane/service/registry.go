// Package service keeps the virtual servers and their real servers in the tables of
// the data plane: their numbers, schedulers' tables, weights and thresholds, counters,
// next hops, and the local addresses on the paths to them.
package service

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/dataplane/stats"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/sched"
	"weir/lvs"
)

// Registry is all services and servers that the tables hold.
type Registry struct {
	maps   *abi.Maps
	spec   *ebpf.CollectionSpec // of the schedulers' tables
	limits *ebpf.Program        // weir_limits, which sets a server's thresholds
	loads  *ebpf.Memory
	cycle  int // how many turns of a cycle are laid out
	ledger *drift.Ledger
	epoch  func() uint32                             // the number of the last sweep of everything
	find   func(abi.BpfFlowKey) (abi.BpfConn, error) // as in Options

	ofServices, ofServers stats.Tallies
	serversMove           bool // what ofServers.Estimate returned; for Estimate alone

	mu                            sync.Mutex // guards the fields below, and the tables' contents
	services                      map[lvs.ServiceKey]*service
	servers                       map[serverKey]*server
	serviceIndexes, serverIndexes pool
	untouched                     bool // the counters of indexes that were never taken are 0
	adopted                       bool // an earlier process had left services
	expiring                      bool // a server has left whose connections are to expire with it
	local                         localAddrs
	directors                     map[netip.Addr]bool // the other directors' addresses
	empty                         *ebpf.Map           // a table without servers; nil before it is needed

	// mayForget says that a service or server may be there that is not in service, and
	// mayPersist that one may have a template.
	mayForget, mayPersist bool
	paths                 *paths   // nil before it is asked for, and where a server has changed
	changes               uint64   // counts what came, left or is reached otherwise, of servers
	filtered              bool     // the filter is the one for these services and servers
	begun                 []uint32 // the servers that Set has made, whose counters are to start

	serverTable  *kmap.Mirror[uint32, abi.BpfServer]
	localTable   *kmap.Mirror[uint32, abi.BpfAddr]
	vips         *kmap.Mirror[uint32, abi.BpfAddr]
	keys         *kmap.Mirror[uint32, abi.BpfServiceKey] // by index, also of services that were removed
	serviceTable *kmap.Mirror[abi.BpfServiceKey, abi.BpfService]
	entries      *kmap.Mirror[uint32, abi.BpfServiceEntry]
	slots        *kmap.Mirror[uint32, abi.BpfServiceSlots]
	counts       *kmap.Mirror[uint32, abi.BpfServiceCount]
	filter       *kmap.Mirror[uint32, abi.BpfAddrFilter]
}

// Options are what a Registry works with.
type Options struct {
	Maps    *abi.Maps
	Mirrors *kmap.Mirrors
	Spec    *ebpf.CollectionSpec
	Limits  *ebpf.Program // weir_limits
	Cycle   int           // how many turns of a cycle are laid out in a table
	Ledger  *drift.Ledger
	Epoch   func() uint32 // the number of the last sweep of everything; it takes no lock
	// Find reads a flow's connection. Its error is ebpf.ErrKeyNotExist where there is none.
	Find func(abi.BpfFlowKey) (abi.BpfConn, error)
}

// Open takes up what an earlier process left in the tables, so that each service and
// server keeps its number and its connections.
func Open(o Options) (*Registry, error) {
	r := &Registry{
		maps: o.Maps, spec: o.Spec, limits: o.Limits, cycle: o.Cycle, ledger: o.Ledger, epoch: o.Epoch, find: o.Find,
		ofServices: stats.Tallies{Stats: o.Maps.ServiceStats, Zeros: o.Maps.ServiceZeros},
		ofServers:  stats.Tallies{Stats: o.Maps.ServerStats, Zeros: o.Maps.ServerZeros},
		services:   map[lvs.ServiceKey]*service{}, servers: map[serverKey]*server{},
		mayForget: true, mayPersist: true, serversMove: true,
	}
	var err error
	if r.loads, err = o.Maps.Loads.Memory(); err != nil {
		return nil, fmt.Errorf("map the servers' loads: %w", err)
	}
	r.mirrorTables(o.Mirrors)
	if err := o.Mirrors.Err(); err != nil {
		return nil, err
	}
	r.takeUpLocal()
	if r.untouched = o.Mirrors.Empty; !r.untouched {
		if err := r.adopt(); err != nil {
			return nil, err
		}
	}
	if err := r.setSlots(func(lvs.ServiceKey) bool { return true }); err != nil {
		return nil, err
	}
	return r, r.setFilter()
}

// Close releases what the registry holds beside the data plane's tables.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.empty.Close() // harmless where there is none
}

// LimitCycle has cycles of at most so many turns be laid out, from the next edit of a
// service on; those of more turns are walked through. 0 lays out none.
func (r *Registry) LimitCycle(turns int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cycle = turns
}

func (r *Registry) mirrorTables(all *kmap.Mirrors) {
	m := r.maps
	r.filter = kmap.Add[uint32, abi.BpfAddrFilter](all, abi.BpfVarAddrFilter, m.AddrFilter, &r.mu, nil)
	r.serverTable = kmap.Add(all, abi.BpfMapServers, m.Servers, &r.mu, func(i uint32, s abi.BpfServer) string {
		return fmt.Sprintf("%d (%s)", i, s.AddrPort())
	})
	r.serverTable.Ours(func(s abi.BpfServer) abi.BpfServer { s.Swept = 0; return s })
	r.localTable = kmap.Add(all, abi.BpfMapLocalAddrs, m.LocalAddrs, &r.mu, addressOf)
	r.vips = kmap.Add(all, abi.BpfMapServiceVips, m.ServiceVips, &r.mu, addressOf)
	r.keys = kmap.Add(all, abi.BpfMapServiceKeys, m.ServiceKeys, &r.mu, func(i uint32, k abi.BpfServiceKey) string { return fmt.Sprintf("%d (%s)", i, k.LVS()) })
	r.serviceTable = kmap.Add(all, abi.BpfMapServices, m.Services, &r.mu, func(k abi.BpfServiceKey, _ abi.BpfService) string { return k.LVS().String() })
	r.entries = kmap.Add(all, abi.BpfMapServiceEntries, m.ServiceEntries, &r.mu, func(i uint32, e abi.BpfServiceEntry) string { return fmt.Sprintf("%d (%s)", i, e.Key.LVS()) })
	r.slots = kmap.Add[uint32, abi.BpfServiceSlots](all, abi.BpfVarServiceSlots, m.ServiceSlots, &r.mu, nil)
	r.counts = kmap.Add[uint32, abi.BpfServiceCount](all, abi.BpfVarServiceCounts, m.ServiceCounts, &r.mu, nil)
}

func addressOf(i uint32, a abi.BpfAddr) string { return fmt.Sprintf("%d (%s)", i, a.Netip()) }

// service is a virtual server that the tables hold or held.
type service struct {
	index     uint32
	present   bool
	scheduler lvs.Scheduler // "" before it has one
	layout    *sched.Layout // of its table; nil before it is known
	table     ebpf.MapID    // the one that was put in force
	// written is what Set wrote last, with this lease: where a state says the same,
	// nothing is written. Nil has the next Set write it all.
	written *lvs.VirtualServer
	lease   uint32
	servers []*server // in service
	tally   stats.Tally
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
	// wasNAT: it is or was behind NAT, and may have connections of that time.
	wasNAT bool
	// keepsPort: packets keep the port that the client asked for.
	keepsPort bool
	ip4       bool // its service is
	limits    limits
	removed   uint32 // the epoch in which it left
	expires   bool   // what it had then is to end
	hop       netlnk.NextHop
	tally     stats.Tally
}
