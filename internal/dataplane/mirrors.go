package dataplane

import (
	"fmt"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
)

// mirrors are the tables that Go alone writes, but for a server's last sweep. The
// leases are guarded by leaseMu, all others by mu.
type mirrors struct {
	leases         *kmap.Mirror[uint32, abi.BpfLease]
	vips           *kmap.Mirror[abi.BpfAddr, uint32]
	directors      *kmap.Mirror[uint64, uint8]
	directorFilter *kmap.Mirror[uint32, uint64]
	clocks         *kmap.Mirror[uint32, abi.BpfClock]
	timeouts       *kmap.Mirror[uint32, uint32]
	flowKnobs      *kmap.Mirror[uint32, abi.BpfFlowKnobs]
	servers        *kmap.Mirror[uint32, abi.BpfServer]
	ownAddrs       *kmap.Mirror[uint32, abi.BpfAddr]
	serviceVips    *kmap.Mirror[uint32, abi.BpfAddr]
	services       *kmap.Mirror[abi.BpfServiceKey, abi.BpfService]
	serviceCounts  *kmap.Mirror[uint32, abi.BpfServiceCount]
	ends           *kmap.Mirror[abi.BpfAddr, abi.BpfEnd]
	markRules      *kmap.Mirror[uint32, abi.BpfMarkRule]
	markLists      *kmap.Mirror[abi.BpfMarkPrefix, abi.BpfMarkList]

	kmap.Mirrors
}

// mirrorTables begins the mirrors with what an earlier process left.
func (p *Plane) mirrorTables() error {
	t, m := &p.tables, &p.maps
	t.leases = kmap.Add(&t.Mirrors, abi.BpfMapLeases, m.Leases, &p.leaseMu, func(i uint32, l abi.BpfLease) string {
		return fmt.Sprintf("%d (VRID %d on device %d)", i, l.Vrid, l.Ifindex)
	})
	t.vips = kmap.Add(&t.Mirrors, abi.BpfMapVips, m.Vips, &p.mu, func(a abi.BpfAddr, _ uint32) string { return a.Netip().String() })
	t.directors = kmap.Add(&t.Mirrors, abi.BpfMapDirectors, m.Directors, &p.mu, func(word uint64, _ uint8) string { return abi.WordMAC(word).String() })
	t.directorFilter = kmap.Add[uint32, uint64](&t.Mirrors, abi.BpfMapDirectorFilter, m.DirectorFilter, &p.mu, nil)
	t.clocks = kmap.Add[uint32, abi.BpfClock](&t.Mirrors, abi.BpfMapClocks, m.Clocks, &p.mu, nil)
	t.timeouts = kmap.Add[uint32, uint32](&t.Mirrors, abi.BpfMapTimeouts, m.Timeouts, &p.mu, nil)
	t.flowKnobs = kmap.Add[uint32, abi.BpfFlowKnobs](&t.Mirrors, abi.BpfMapFlowKnobs, m.FlowKnobs, &p.mu, nil)
	t.servers = kmap.Add(&t.Mirrors, abi.BpfMapServers, m.Servers, &p.mu, func(i uint32, s abi.BpfServer) string {
		return fmt.Sprintf("%d (%s)", i, s.AddrPort())
	})
	t.servers.Ours(func(s abi.BpfServer) abi.BpfServer { s.Swept = 0; return s })
	t.ownAddrs = kmap.Add(&t.Mirrors, abi.BpfMapOwnAddrs, m.OwnAddrs, &p.mu, addressOf)
	t.serviceVips = kmap.Add(&t.Mirrors, abi.BpfMapServiceVips, m.ServiceVips, &p.mu, addressOf)
	t.services = kmap.Add(&t.Mirrors, abi.BpfMapServices, m.Services, &p.mu, func(k abi.BpfServiceKey, _ abi.BpfService) string { return k.LVS().String() })
	t.serviceCounts = kmap.Add[uint32, abi.BpfServiceCount](&t.Mirrors, abi.BpfMapServiceCounts, m.ServiceCounts, &p.mu, nil)
	t.ends = kmap.Add(&t.Mirrors, abi.BpfMapEnds, m.Ends, &p.mu, func(a abi.BpfAddr, _ abi.BpfEnd) string { return a.Netip().String() })
	t.markRules = kmap.Add(&t.Mirrors, abi.BpfMapMarkRules, m.MarkRules, &p.mu, func(i uint32, r abi.BpfMarkRule) string { return fmt.Sprintf("%d (mark %d)", i, r.Mark) })
	t.markLists = kmap.Add(&t.Mirrors, abi.BpfMapMarkLists, m.MarkLists, &p.mu, func(k abi.BpfMarkPrefix, _ abi.BpfMarkList) string { return k.Netip().String() })
	return t.Err()
}

func addressOf(i uint32, a abi.BpfAddr) string { return fmt.Sprintf("%d (%s)", i, a.Netip()) }
