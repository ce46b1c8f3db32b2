// Package lease decides which director forwards: it keeps the leases of VRRP instances, the
// VIPs that need one, and the Ethernet addresses of the other directors.
package lease

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
	"weir/lvs"
	"weir/vrrp/pace"
)

// Leases are the instances' leases. They have a lock of their own, under which
// nothing slow is done: renewing one waits for nobody.
type Leases struct {
	table  *ebpf.Map
	mu     sync.Mutex // guards the fields below
	leases *kmap.Mirror[uint32, abi.BpfLease]
	vips   *kmap.Mirror[abi.BpfAddr, uint32]
	vmacs  *kmap.Mirror[uint64, uint64]
	by     map[lvs.InstanceID]uint32 // index of each instance's lease
	held   held
}

// New takes up the leases that an earlier process left.
func New(m *abi.Maps, mirrors *kmap.Mirrors) *Leases {
	l := &Leases{table: m.Leases, by: map[lvs.InstanceID]uint32{}, held: held{}}
	l.leases = kmap.Add(mirrors, abi.BpfMapLeases, m.Leases, &l.mu, func(i uint32, l abi.BpfLease) string {
		return fmt.Sprintf("%d (VRID %d on device %d)", i, l.Vrid, l.Ifindex)
	})
	l.leases.Ours(l.held.ours)
	l.vips = kmap.Add(mirrors, abi.BpfMapVips, m.Vips, &l.mu, func(a abi.BpfAddr, _ uint32) string { return a.Netip().String() })
	l.vmacs = kmap.Add(mirrors, abi.BpfMapVmacs, m.Vmacs, &l.mu, vmacName)
	return l
}

// bootTime is the clock of the leases: it goes on while the machine sleeps.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("the boot-time clock: %v", err)) // cannot fail on Linux
	}
	return time.Duration(t.Nano())
}

// Renew lets the instance's services forward for so long after it sent an
// advertisement. It is an error for an instance that has no lease.
func (l *Leases) Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error {
	return l.setLease(id, bootTime()-time.Since(sent)+d)
}

// Hold is the instance's lease for a thread that renews it by itself, until Release or until
// the instance has none.
func (l *Leases) Hold(id lvs.InstanceID) (*pace.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.by[id]
	if !ok {
		return nil, fmt.Errorf("instance %s has no lease", id)
	}
	return l.held.hold(l.table, index, l.leases.Wrote()[index])
}

// Release ends the instance's lease at once.
func (l *Leases) Release(id lvs.InstanceID) error {
	l.mu.Lock()
	if index, ok := l.by[id]; ok {
		l.held.revoke(index)
	}
	l.mu.Unlock()
	return l.setLease(id, 0)
}

// Close has no thread renew a lease any more; the leases run on.
func (l *Leases) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.revokeAll()
}

func (l *Leases) setLease(id lvs.InstanceID, until time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.by[id]
	if !ok {
		return fmt.Errorf("instance %s has no lease", id)
	}
	lease := l.leases.Wrote()[index]
	lease.Until = uint64(until)
	return l.leases.Put(index, lease)
}

// Index is the number of the instance's lease; ok is false where it has none.
func (l *Leases) Index(id lvs.InstanceID) (index uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok = l.by[id]
	return index, ok
}

// Leased says whether the instance's lease still runs: it does for a while when
// the process of a master has died.
func (l *Leases) Leased(id lvs.InstanceID) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.by[id]
	if !ok {
		return false, fmt.Errorf("instance %s has no lease", id)
	}
	lease, err := l.read(index)
	return err == nil && lease.Until > uint64(bootTime()), err
}

func (l *Leases) read(index uint32) (lease abi.BpfLease, err error) {
	if err := l.table.Lookup(index, &lease); err != nil {
		return lease, fmt.Errorf("read lease %d: %w", index, err)
	}
	return lease, nil
}

// Set gives each instance a lease, keeping those that run, and says by which lease
// each VIP is served. An instance whose device is missing has one, too.
func (l *Leases) Set(instances []lvs.Instance) (map[netip.Addr]uint32, error) {
	devices, virtual := findDevices(instances), findVirtual(instances)
	l.mu.Lock()
	defer l.mu.Unlock()
	vips, leases := map[netip.Addr]uint32{}, map[lvs.InstanceID]uint32{}
	noAccept := false
	for _, in := range instances {
		index, err := l.leaseOf(in.ID, devices[in.ID.Interface], leases)
		if err != nil {
			return nil, fmt.Errorf("lease of %s: %w", in.ID, err)
		}
		leases[in.ID] = index
		noAccept = noAccept || in.NoAccept
		if err := l.setNoAccept(index, in.NoAccept); err != nil {
			return nil, fmt.Errorf("lease of %s: %w", in.ID, err)
		}
		for _, vip := range in.VIPs {
			vips[vip] = index
		}
	}
	for id, index := range l.by {
		if _, ok := leases[id]; !ok {
			l.held.revoke(index)
			if err := l.leases.Drop(index); err != nil {
				return nil, fmt.Errorf("end the lease of %s: %w", id, err)
			}
		}
	}
	l.by = leases
	return vips, errors.Join(l.setNoAccept(0, noAccept), l.setVIPs(vips), l.setVMACs(virtual))
}

// device is the kernel's answer about an interface's name.
type device struct {
	index int
	err   error
}

// findDevices asks for the instances' devices. It is called without the lock.
func findDevices(instances []lvs.Instance) map[string]device {
	all := map[string]device{}
	for _, in := range instances {
		if _, known := all[in.ID.Interface]; !known {
			all[in.ID.Interface] = findDevice(in.ID.Interface)
		}
	}
	return all
}

func findDevice(name string) device {
	link, err := netlnk.LinkByName(name)
	return device{link.Index, err}
}

// leaseOf finds the lease that is pinned for this instance, or a free one: none of those
// that are taken already. That of a device which does not exist has no number until it
// comes.
func (l *Leases) leaseOf(id lvs.InstanceID, on device, taken map[lvs.InstanceID]uint32) (uint32, error) {
	index, known := l.by[id]
	if known && errors.Is(on.err, netlnk.ErrNoDevice) { // it may come again
		return index, nil
	}
	if on.err != nil && !errors.Is(on.err, netlnk.ErrNoDevice) {
		return 0, on.err
	}
	if known {
		lease := l.leases.Wrote()[index]
		if lease.Ifindex == uint32(on.index) {
			return index, nil
		}
		if now, err := l.read(index); err == nil && l.held[index] != nil {
			lease.Until = now.Until // the thread has renewed it
		}
		lease.Ifindex = uint32(on.index)
		l.held.changed(index, lease)
		return index, l.leases.Put(index, lease)
	}
	mine := leaseFor(id, on)
	var free uint32
	used := map[uint32]bool{}
	for _, all := range []map[lvs.InstanceID]uint32{l.by, taken} {
		for _, i := range all {
			used[i] = true
		}
	}
	for i := uint32(1); i < l.table.MaxEntries(); i++ {
		if used[i] {
			continue
		}
		lease := l.leases.Wrote()[i]
		if same(lease, mine) {
			return i, nil
		}
		if free == 0 && lease == (abi.BpfLease{}) {
			free = i
		}
	}
	if free == 0 {
		return 0, fmt.Errorf("all %d leases are taken", l.table.MaxEntries()-1)
	}
	return free, l.leases.Put(free, mine)
}

// setNoAccept says whether the addresses of a lease take nothing but what is for services; of
// lease 0 it says whether any does.
func (l *Leases) setNoAccept(index uint32, refuses bool) error {
	var flag uint8
	if refuses {
		flag = 1
	}
	lease := l.leases.Wrote()[index]
	if lease.NoAccept == flag {
		return nil
	}
	if now, err := l.read(index); err == nil && l.held[index] != nil {
		lease.Until = now.Until // the thread has renewed it
	}
	lease.NoAccept = flag
	l.held.changed(index, lease)
	return l.leases.Put(index, lease)
}

// Move has the leases of a device follow it to its new index. A device that is
// missing is no error.
func (l *Leases) Move(device string) error {
	on := findDevice(device)
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.by {
		if id.Interface != device {
			continue
		}
		if _, err := l.leaseOf(id, on, nil); err != nil {
			return fmt.Errorf("lease of %s: %w", id, err)
		}
	}
	return nil
}

// setVIPs tells the egress guard which addresses may be announced only with a lease.
func (l *Leases) setVIPs(vips map[netip.Addr]uint32) error {
	for vip, lease := range vips {
		if err := l.vips.Put(abi.AddrOf(vip), lease); err != nil {
			return fmt.Errorf("guard %s: %w", vip, err)
		}
	}
	for key := range l.vips.Wrote() {
		if _, ok := vips[key.Netip()]; ok {
			continue
		}
		if err := l.vips.Drop(key); err != nil {
			return fmt.Errorf("guard %s no more: %w", key.Netip(), err)
		}
	}
	return nil
}
