package dataplane

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
)

// mirrors are the tables that Go alone writes, but for a server's last sweep. The
// leases are guarded by leaseMu, all others by mu.
type mirrors struct {
	leases         *mirror[uint32, bpfLease]
	vips           *mirror[bpfAddr, uint32]
	directors      *mirror[uint64, uint8]
	directorFilter *mirror[uint32, uint64]
	clocks         *mirror[uint32, bpfClock]
	timeouts       *mirror[uint32, uint32]
	flowKnobs      *mirror[uint32, bpfFlowKnobs]
	servers        *mirror[uint32, bpfServer]
	ownAddrs       *mirror[uint32, bpfAddr]
	serviceVips    *mirror[uint32, bpfAddr]
	services       *mirror[bpfServiceKey, bpfService]
	serviceCounts  *mirror[uint32, bpfServiceCount]
	ends           *mirror[bpfAddr, bpfEnd]
	markRules      *mirror[uint32, bpfMarkRule]
	markLists      *mirror[bpfMarkPrefix, bpfMarkList]

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
	t.leases = mirrorOf(b, bpfMapLeases, m.Leases, &p.leaseMu, func(i uint32, l bpfLease) string {
		return fmt.Sprintf("%d (VRID %d on device %d)", i, l.Vrid, l.Ifindex)
	})
	t.vips = mirrorOf(b, bpfMapVips, m.Vips, &p.mu, func(a bpfAddr, _ uint32) string { return a.netip().String() })
	t.directors = mirrorOf(b, bpfMapDirectors, m.Directors, &p.mu, func(word uint64, _ uint8) string { return wordMAC(word).String() })
	t.directorFilter = mirrorOf[uint32, uint64](b, bpfMapDirectorFilter, m.DirectorFilter, &p.mu, nil)
	t.clocks = mirrorOf[uint32, bpfClock](b, bpfMapClocks, m.Clocks, &p.mu, nil)
	t.timeouts = mirrorOf[uint32, uint32](b, bpfMapTimeouts, m.Timeouts, &p.mu, nil)
	t.flowKnobs = mirrorOf[uint32, bpfFlowKnobs](b, bpfMapFlowKnobs, m.FlowKnobs, &p.mu, nil)
	t.servers = mirrorOf(b, bpfMapServers, m.Servers, &p.mu, func(i uint32, s bpfServer) string {
		return fmt.Sprintf("%d (%s)", i, netip.AddrPortFrom(s.Addr.netip(), wirePort(s.Port)))
	})
	t.servers.ours = func(s bpfServer) bpfServer { s.Swept = 0; return s }
	t.ownAddrs = mirrorOf(b, bpfMapOwnAddrs, m.OwnAddrs, &p.mu, addressOf)
	t.serviceVips = mirrorOf(b, bpfMapServiceVips, m.ServiceVips, &p.mu, addressOf)
	t.services = mirrorOf(b, bpfMapServices, m.Services, &p.mu, func(k bpfServiceKey, _ bpfService) string { return k.lvs().String() })
	t.serviceCounts = mirrorOf[uint32, bpfServiceCount](b, bpfMapServiceCounts, m.ServiceCounts, &p.mu, nil)
	t.ends = mirrorOf(b, bpfMapEnds, m.Ends, &p.mu, func(a bpfAddr, _ bpfEnd) string { return a.netip().String() })
	t.markRules = mirrorOf(b, bpfMapMarkRules, m.MarkRules, &p.mu, func(i uint32, r bpfMarkRule) string { return fmt.Sprintf("%d (mark %d)", i, r.Mark) })
	t.markLists = mirrorOf(b, bpfMapMarkLists, m.MarkLists, &p.mu, func(k bpfMarkPrefix, _ bpfMarkList) string { return k.prefix().String() })
	return b.err
}

func addressOf(i uint32, a bpfAddr) string { return fmt.Sprintf("%d (%s)", i, a.netip()) }

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
