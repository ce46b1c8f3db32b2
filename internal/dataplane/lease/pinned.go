package lease

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/lvs"
	"weir/vrrp/pace"
)

// Pinned are the leases of a data plane that another process has set up. It makes none.
type Pinned struct {
	table *ebpf.Map
	mu    sync.Mutex // guards held
	held  held
}

// OpenPinned opens the leases that are pinned in a folder.
func OpenPinned(dir string) (*Pinned, error) {
	table, err := ebpf.LoadPinnedMap(filepath.Join(dir, abi.BpfMapLeases), nil)
	if err != nil {
		return nil, fmt.Errorf("open the leases: %w", err)
	}
	if table.ValueSize() != uint32(unsafe.Sizeof(abi.BpfLease{})) {
		table.Close()
		return nil, fmt.Errorf("open the leases: they are another version's")
	}
	return &Pinned{table: table, held: held{}}, nil
}

// Close closes the table. No thread renews a lease any more.
func (p *Pinned) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held.revokeAll()
	return p.table.Close()
}

// Hold is Leases.Hold.
func (p *Pinned) Hold(id lvs.InstanceID) (*pace.Lease, error) {
	index, lease, err := p.find(id)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held.hold(p.table, index, lease)
}

// Renew is Leases.Renew. An error says, too, that there is no such lease.
func (p *Pinned) Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error {
	return p.set(id, bootTime()-time.Since(sent)+d)
}

// Release is Leases.Release.
func (p *Pinned) Release(id lvs.InstanceID) error {
	index, _, err := p.find(id)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.held.revoke(index)
	p.mu.Unlock()
	return p.set(id, 0)
}

// Leased is Leases.Leased.
func (p *Pinned) Leased(id lvs.InstanceID) (bool, error) {
	_, lease, err := p.find(id)
	return err == nil && lease.Until > uint64(bootTime()), err
}

func (p *Pinned) set(id lvs.InstanceID, until time.Duration) error {
	index, lease, err := p.find(id)
	if err != nil {
		return err
	}
	lease.Until = uint64(until)
	return p.table.Put(index, lease)
}

func (p *Pinned) find(id lvs.InstanceID) (uint32, abi.BpfLease, error) {
	on := findDevice(id.Interface)
	if on.err != nil {
		return 0, abi.BpfLease{}, on.err
	}
	mine := leaseFor(id, on)
	for i := uint32(1); i < p.table.MaxEntries(); i++ {
		var lease abi.BpfLease
		if err := p.table.Lookup(i, &lease); err != nil {
			return 0, lease, fmt.Errorf("read lease %d: %w", i, err)
		}
		if same(lease, mine) {
			return i, lease, nil
		}
	}
	return 0, abi.BpfLease{}, fmt.Errorf("instance %s has no lease", id)
}

// leaseFor is the lease of an instance that has not begun.
func leaseFor(id lvs.InstanceID, on device) abi.BpfLease {
	l := abi.BpfLease{Ifindex: uint32(on.index), Vrid: id.VRID}
	if id.IPv6 {
		l.Ipv6 = 1
	}
	return l
}

// same says whether two leases are of the same instance.
func same(a, b abi.BpfLease) bool {
	return a.Ifindex == b.Ifindex && a.Vrid == b.Vrid && a.Ipv6 == b.Ipv6
}
