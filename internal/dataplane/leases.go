package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

// bootTime is the clock of the leases: it goes on while the machine sleeps.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("the boot-time clock: %v", err)) // cannot fail on Linux
	}
	return time.Duration(t.Nano())
}

// Renew lets the instance's services forward for so long after it sent an
// advertisement. An instance that no plan has named has no lease to renew.
func (p *Plane) Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error {
	return p.setLease(id, bootTime()-time.Since(sent)+d)
}

// Release ends the instance's lease at once.
func (p *Plane) Release(id lvs.InstanceID) error { return p.setLease(id, 0) }

func (p *Plane) setLease(id lvs.InstanceID, until time.Duration) error {
	p.leaseMu.Lock()
	defer p.leaseMu.Unlock()
	index, ok := p.leases[id]
	if !ok {
		return fmt.Errorf("instance %s has no lease", id)
	}
	lease := p.tables.leases.Wrote()[index]
	lease.Until = uint64(until)
	return p.tables.leases.Put(index, lease)
}

// Leased says whether the instance's lease still runs: it does for a while when
// the process of a master has died.
func (p *Plane) Leased(id lvs.InstanceID) (bool, error) {
	p.leaseMu.Lock()
	defer p.leaseMu.Unlock()
	index, ok := p.leases[id]
	if !ok {
		return false, fmt.Errorf("instance %s has no lease", id)
	}
	lease, err := p.lease(index)
	return err == nil && lease.Until > uint64(bootTime()), err
}

func (p *Plane) lease(index uint32) (l abi.BpfLease, err error) {
	if err := p.maps.Leases.Lookup(index, &l); err != nil {
		return l, fmt.Errorf("read lease %d: %w", index, err)
	}
	return l, nil
}

// setInstances gives each instance a lease, keeping those that run, and says by
// which lease each VIP is served.
func (p *Plane) setInstances(instances []lvs.Instance) (map[netip.Addr]uint32, error) {
	p.leaseMu.Lock()
	defer p.leaseMu.Unlock()
	vips, leases := map[netip.Addr]uint32{}, map[lvs.InstanceID]uint32{}
	for _, in := range instances {
		index, err := p.leaseOf(in.ID)
		if err != nil {
			return nil, fmt.Errorf("lease of %s: %w", in.ID, err)
		}
		leases[in.ID] = index
		for _, vip := range in.VIPs {
			vips[vip] = index
		}
	}
	for id, index := range p.leases {
		if _, ok := leases[id]; !ok {
			if err := p.tables.leases.Drop(index); err != nil {
				return nil, fmt.Errorf("end the lease of %s: %w", id, err)
			}
		}
	}
	p.leases = leases
	return vips, p.setVIPs(vips)
}

// leaseOf finds the lease that is pinned for this instance, or a free one.
func (p *Plane) leaseOf(id lvs.InstanceID) (uint32, error) {
	index, known := p.leases[id]
	link, err := netlnk.LinkByName(id.Interface)
	if known && errors.Is(err, netlnk.ErrNoDevice) { // it may come again
		return index, nil
	}
	if err != nil {
		return 0, err
	}
	if known {
		lease := p.tables.leases.Wrote()[index]
		lease.Ifindex = uint32(link.Index)
		return index, p.tables.leases.Put(index, lease)
	}
	mine := abi.BpfLease{Ifindex: uint32(link.Index), Vrid: id.VRID}
	if id.IPv6 {
		mine.Ipv6 = 1
	}
	var free uint32
	for i := uint32(1); i < p.maps.Leases.MaxEntries(); i++ {
		l := p.tables.leases.Wrote()[i]
		if l.Ifindex == mine.Ifindex && l.Vrid == mine.Vrid && l.Ipv6 == mine.Ipv6 {
			return i, nil
		}
		if free == 0 && l == (abi.BpfLease{}) {
			free = i
		}
	}
	if free == 0 {
		return 0, fmt.Errorf("all %d leases are taken", p.maps.Leases.MaxEntries()-1)
	}
	return free, p.tables.leases.Put(free, mine)
}

// moveLeases has the leases of a device follow it to its new number.
func (p *Plane) moveLeases(device string) error {
	p.leaseMu.Lock()
	defer p.leaseMu.Unlock()
	for id := range p.leases {
		if id.Interface != device {
			continue
		}
		if _, err := p.leaseOf(id); err != nil {
			return fmt.Errorf("lease of %s: %w", id, err)
		}
	}
	return nil
}

// setVIPs tells the egress guard about which addresses to be silent.
func (p *Plane) setVIPs(vips map[netip.Addr]uint32) error {
	for vip, lease := range vips {
		if err := p.tables.vips.Put(abi.AddrOf(vip), lease); err != nil {
			return fmt.Errorf("guard %s: %w", vip, err)
		}
	}
	for key := range p.tables.vips.Wrote() {
		if _, ok := vips[key.Netip()]; ok {
			continue
		}
		if err := p.tables.vips.Drop(key); err != nil {
			return fmt.Errorf("guard %s no more: %w", key.Netip(), err)
		}
	}
	return nil
}
