// Package dataplane loads the eBPF programs, keeps their tables, and makes them
// forward as the wanted state (lvs.Plan) says. Programs and tables are pinned: packets flow on
// while no weir process runs, and the next process takes up what it finds.
package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/access"
	"weir/internal/dataplane/attach"
	"weir/internal/dataplane/conn"
	"weir/internal/dataplane/kmap"
	"weir/internal/dataplane/lease"
	"weir/internal/dataplane/mark"
	"weir/internal/dataplane/nexthop"
	"weir/internal/dataplane/service"
	"weir/internal/drift"
)

// Plane is the data plane of this network namespace. It is composed of parts, each of
// which has its own lock. With its lock, the connections' part calls the services' part
// (conn.Servers), and the devices' part the leases' and the connections' parts (attach.Options); no other part
// calls another with its lock. All methods but Run, Close and Remove may be called by
// several goroutines at once.
type Plane struct {
	log      *slog.Logger
	pinDir   string
	spec     *ebpf.CollectionSpec
	need     need // the memory of its tables
	maps     abi.Maps
	programs programs
	mirrors  kmap.Mirrors // of those maps
	pins     *kmap.Pins
	older    *ebpf.Map // an older build's tables of connections, or nil
	ledger   *drift.Ledger
	// compareEvery is how often drift is looked for.
	compareEvery time.Duration

	services  *service.Registry
	conns     *conn.Table
	devices   *attach.Devices
	leases    *lease.Leases
	directors *lease.Directors
	marks     *mark.Rules
	access    *access.Rules
	paths     nexthop.PathMTUs
	silent    nexthop.Silent

	setting   sync.Mutex  // one Set or Remove at a time
	repairing sync.Mutex  // one repair of drift at a time
	planned   atomic.Bool // a state has been set
	// unfinished says that what is pinned is this process's, and no state has been set whole.
	unfinished atomic.Bool
	anew       bool // what was pinned did not fit and has been removed
	// resolved is when the next hops to all servers were found last, how long that took, and
	// what had been written of servers before. It is that of Run's goroutine.
	resolved struct {
		at      time.Time
		took    time.Duration
		changes uint64
	}
	cutAgain atomic.Bool // connections of denied clients are to be ended once more
}

// programs are those that belong to no device.
type programs struct {
	conn.Programs
	Limits *ebpf.Program `ebpf:"weir_limits"`
}

func (p programs) close() {
	p.Programs.Close()
	if p.Limits != nil {
		p.Limits.Close()
	}
}

// Open loads the programs, and makes the pinned tables or takes up those that an
// earlier process left. Tables of other sizes are replaced by empty ones.
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
	spec, err := abi.Load()
	if err != nil {
		return nil, fmt.Errorf("read the embedded BPF object: %w", err)
	}
	if err := size(spec, o); err != nil {
		return nil, err
	}
	if err := setSummed(spec); err != nil {
		return nil, fmt.Errorf("say how packets tell who sums them: %w", err)
	}
	if err := setConntrack(spec); err != nil {
		return nil, fmt.Errorf("say what the kernel's connection tracking can be asked: %w", err)
	}
	p := &Plane{log: o.Log, pinDir: o.PinDir, spec: spec, need: needOf(spec, o), ledger: drift.NewLedger(o.Log), compareEvery: compareEvery}
	p.need.warn(o.Log)
	if err := p.load(); err != nil {
		_, failed := RemoveUnfinished(o.PinDir)
		err = errors.Join(err, failed)
		if errors.Is(err, unix.EPERM) {
			return nil, fmt.Errorf("%w: weir takes root, or the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", err)
		}
		return nil, p.need.explain(err)
	}
	if err := p.takeUp(o); err != nil {
		p.Close()
		_, failed := RemoveUnfinished(o.PinDir)
		err = errors.Join(err, failed)
		return nil, p.need.explain(fmt.Errorf("take up the tables pinned in %s: %w", o.PinDir, err))
	}
	return p, nil
}

// formerNames are the names that earlier versions pinned tables by, with the names of now,
// and the same contents. A table whose layout has changed has a name of its own instead, so
// that the others are taken up: with "" the one of before is left out.
var formerNames = map[string]string{
	"cards":     "",
	"rooms":     abi.BpfVarConnLimits,
	"own_addrs": abi.BpfMapLocalAddrs,
	"ends":      "", // there is none any more
	// Which far ends take packets is asked at the start anyway.
	"peer_exits": "",
	"members":    "", // the sets of lblcr begin anew
	// Connections that are half open now expire, whatever takes their places.
	"half_opens":     "",
	"half_open_ring": "",
}

// load makes or opens the tables and the programs that belong to no device.
func (p *Plane) load() error {
	var objects struct {
		abi.Maps
		programs
	}
	err := p.begin()
	if err == nil {
		p.older, err = openOlder(p.pinDir, p.log)
	}
	if err != nil {
		return err
	}
	err = p.spec.LoadAndAssign(&objects, p.collection())
	if err == nil {
		if err = conn.Fits(&objects.Maps, p.need.options.Connections); err != nil {
			objects.programs.close()
			err = errors.Join(err, objects.Maps.Close())
		}
	}
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		misfits := kmap.Misfits(p.pinDir, p.spec)
		p.log.Warn("pinned tables do not fit, starting with empty ones", "pins", p.pinDir, "error", err,
			"tables", strings.Join(misfits, "; "), "lost", "all connections, and the masterships of this director")
		p.anew = true
		p.closeOlder()
		if err := p.beginAnew(); err != nil {
			return err
		}
		err = p.spec.LoadAndAssign(&objects, p.collection())
	}
	if err != nil {
		return fmt.Errorf("load the data plane: %w", err)
	}
	p.maps, p.programs = objects.Maps, objects.programs
	return nil
}

// begin looks at what is pinned. What a first start has left that was cut off is taken away:
// it has never served anybody, and some of it may be missing.
func (p *Plane) begin() error {
	if err := kmap.Begin(p.pinDir); err != nil {
		return err
	}
	if !kmap.Unfinished(p.pinDir) {
		return kmap.RenamePins(p.pinDir, formerNames)
	}
	if pins, err := os.ReadDir(p.pinDir); err == nil && len(pins) > 1 {
		p.log.Info("an earlier start was cut off, and what it has left is taken away", "pins", p.pinDir)
	}
	if err := attach.DetachPinned(p.pinDir); err != nil {
		return err
	}
	return p.beginAnew()
}

// beginAnew unpins everything.
func (p *Plane) beginAnew() error {
	if err := kmap.RemovePins(p.pinDir); err != nil {
		return err
	}
	p.unfinished.Store(true)
	return kmap.Begin(p.pinDir)
}

// takeUp opens the parts, each with what an earlier process left of it. Their order is
// that in which drift is repaired: what is referred to before what refers to it.
func (p *Plane) takeUp(o Options) (err error) {
	if p.pins, err = kmap.NewPins(p.pinDir, p.maps.ByName(), o.Lock); err != nil {
		return err
	}
	p.mirrors.Empty = p.unfinished.Load()
	p.leases = lease.New(&p.maps, &p.mirrors)
	p.directors = lease.NewDirectors(p.log, &p.maps, &p.mirrors)
	p.conns = conn.Open(conn.Options{
		Log: p.log, Maps: &p.maps, Spec: p.spec, Programs: p.programs.Programs, Connections: o.Connections, Afford: afford, Older: p.older != nil,
	}, &p.mirrors)
	p.services, err = service.Open(service.Options{
		Maps: &p.maps, Mirrors: &p.mirrors, Spec: p.spec, Limits: p.programs.Limits, Cycle: o.Cycle, Ledger: p.ledger, Epoch: p.conns.Epoch, Find: p.conns.Find,
	})
	if err != nil {
		return err
	}
	p.marks = mark.New(&p.maps, &p.mirrors)
	p.access = access.New(&p.maps, &p.mirrors)
	if err := p.mirrors.Err(); err != nil {
		return err
	}
	if p.devices, err = attach.Open(attach.Options{
		Log: p.log, PinDir: p.pinDir, Spec: p.spec, Maps: &p.maps, Mirrors: &p.mirrors, Ledger: p.ledger, Moved: p.leases.Move, Forget: p.conns.ForgetFlows, Older: p.older != nil,
	}); err != nil {
		return err
	}
	return p.conns.Start(p.services)
}

// collection has tables opened where they are pinned, or pinned there.
func (p *Plane) collection() *ebpf.CollectionOptions {
	o := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: p.pinDir}}
	if p.older != nil {
		o.MapReplacements = map[string]*ebpf.Map{abi.BpfMapOlderTables: p.older}
	}
	return o
}

// Close releases the data plane without stopping it: what is pinned stays and forwards
// on. It is called after Run has returned.
func (p *Plane) Close() error {
	if p.devices != nil {
		p.devices.Close()
	}
	if p.services != nil {
		p.services.Close()
	}
	if p.leases != nil {
		p.leases.Close()
	}
	p.closeOlder()
	p.programs.close()
	return p.maps.Close()
}

// Remove takes the data plane away: it leaves every device, and nothing stays pinned. It does
// not wait for a Set, which may take as long as the kernel takes to verify programs: what that
// has still open goes with the process.
func (p *Plane) Remove() error {
	if !p.setting.TryLock() {
		p.devices.Shut()
		return errors.Join(attach.DetachPinned(p.pinDir), kmap.RemovePinDir(p.pinDir))
	}
	defer p.setting.Unlock()
	if err := p.devices.DetachAll(); err != nil {
		return err
	}
	p.Close()
	return kmap.RemovePinDir(p.pinDir)
}
