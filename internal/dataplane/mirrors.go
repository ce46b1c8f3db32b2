package dataplane

import (
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// mirrors are the tables that Go alone writes, but for a server's last sweep. The
// leases are guarded by leaseMu, all others by mu.
type mirrors struct {
	leases         *mirror[uint32, abi.BpfLease]
	vips           *mirror[abi.BpfAddr, uint32]
	directors      *mirror[uint64, uint8]
	directorFilter *mirror[uint32, uint64]
	clocks         *mirror[uint32, abi.BpfClock]
	timeouts       *mirror[uint32, uint32]
	flowKnobs      *mirror[uint32, abi.BpfFlowKnobs]
	servers        *mirror[uint32, abi.BpfServer]
	ownAddrs       *mirror[uint32, abi.BpfAddr]
	serviceVips    *mirror[uint32, abi.BpfAddr]
	services       *mirror[abi.BpfServiceKey, abi.BpfService]
	serviceCounts  *mirror[uint32, abi.BpfServiceCount]
	ends           *mirror[abi.BpfAddr, abi.BpfEnd]
	markRules      *mirror[uint32, abi.BpfMarkRule]
	markLists      *mirror[abi.BpfMarkPrefix, abi.BpfMarkList]

	all []mirrored
}

// mirrored is a mirror of whatever types, with the lock that guards it. They stand
// in the order of their repair: what is referred to before what refers to it.
type mirrored struct {
	kind  string
	lock  sync.Locker
	table repairable
}

type repairable interface {
	repair(lock sync.Locker, note func(name string, err error)) error
}

// mirrorTables begins the mirrors with what an earlier process left.
func (p *Plane) mirrorTables() error {
	t, m := &p.tables, &p.maps
	b := &mirrorBuilder{all: &t.all}
	t.leases = mirrorOf(b, abi.BpfMapLeases, m.Leases, &p.leaseMu, func(i uint32, l abi.BpfLease) string {
		return fmt.Sprintf("%d (VRID %d on device %d)", i, l.Vrid, l.Ifindex)
	})
	t.vips = mirrorOf(b, abi.BpfMapVips, m.Vips, &p.mu, func(a abi.BpfAddr, _ uint32) string { return a.Netip().String() })
	t.directors = mirrorOf(b, abi.BpfMapDirectors, m.Directors, &p.mu, func(word uint64, _ uint8) string { return abi.WordMAC(word).String() })
	t.directorFilter = mirrorOf[uint32, uint64](b, abi.BpfMapDirectorFilter, m.DirectorFilter, &p.mu, nil)
	t.clocks = mirrorOf[uint32, abi.BpfClock](b, abi.BpfMapClocks, m.Clocks, &p.mu, nil)
	t.timeouts = mirrorOf[uint32, uint32](b, abi.BpfMapTimeouts, m.Timeouts, &p.mu, nil)
	t.flowKnobs = mirrorOf[uint32, abi.BpfFlowKnobs](b, abi.BpfMapFlowKnobs, m.FlowKnobs, &p.mu, nil)
	t.servers = mirrorOf(b, abi.BpfMapServers, m.Servers, &p.mu, func(i uint32, s abi.BpfServer) string {
		return fmt.Sprintf("%d (%s)", i, s.AddrPort())
	})
	t.servers.ours = func(s abi.BpfServer) abi.BpfServer { s.Swept = 0; return s }
	t.ownAddrs = mirrorOf(b, abi.BpfMapOwnAddrs, m.OwnAddrs, &p.mu, addressOf)
	t.serviceVips = mirrorOf(b, abi.BpfMapServiceVips, m.ServiceVips, &p.mu, addressOf)
	t.services = mirrorOf(b, abi.BpfMapServices, m.Services, &p.mu, func(k abi.BpfServiceKey, _ abi.BpfService) string { return k.LVS().String() })
	t.serviceCounts = mirrorOf[uint32, abi.BpfServiceCount](b, abi.BpfMapServiceCounts, m.ServiceCounts, &p.mu, nil)
	t.ends = mirrorOf(b, abi.BpfMapEnds, m.Ends, &p.mu, func(a abi.BpfAddr, _ abi.BpfEnd) string { return a.Netip().String() })
	t.markRules = mirrorOf(b, abi.BpfMapMarkRules, m.MarkRules, &p.mu, func(i uint32, r abi.BpfMarkRule) string { return fmt.Sprintf("%d (mark %d)", i, r.Mark) })
	t.markLists = mirrorOf(b, abi.BpfMapMarkLists, m.MarkLists, &p.mu, func(k abi.BpfMarkPrefix, _ abi.BpfMarkList) string { return k.Netip().String() })
	return b.err
}

func addressOf(i uint32, a abi.BpfAddr) string { return fmt.Sprintf("%d (%s)", i, a.Netip()) }

// mirrorBuilder gathers them, and the first error.
type mirrorBuilder struct {
	all *[]mirrored
	err error
}

func mirrorOf[K, V comparable](b *mirrorBuilder, kind string, table *ebpf.Map, lock sync.Locker, name func(K, V) string) *mirror[K, V] {
	m, err := newMirror(table, name)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("take up %s: %w", kind, err)
	}
	*b.all = append(*b.all, mirrored{kind, lock, m})
	return m
}
