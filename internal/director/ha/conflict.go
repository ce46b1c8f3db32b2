package ha

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/vrrp"
)

// AnnounceAgain has the masters that have any of these VIPs announce theirs: neighbours may
// have learned another machine's address for them.
func (s *Instances) AnnounceAgain(vips map[netip.Addr]bool) {
	if len(vips) == 0 {
		return
	}
	for _, in := range s.list {
		if in.machine == nil || in.machine.Snapshot().State != vrrp.Master {
			continue
		}
		if slices.ContainsFunc(in.cfg.Addresses(), func(a conf.VIP) bool { return vips[a.Prefix.Addr()] }) {
			in.with.VIPs.AnnounceRounds(ownerOf(in.id), 1)
		}
	}
}
