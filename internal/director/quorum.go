package director

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
)

// setQuorums tells instances which virtual servers have lost their quorums, and says whether
// any of them follows quorums.
func setQuorums(cfgs []conf.VRRPInstance, pools pool.Pools, to *ha.Instances) bool {
	if !slices.ContainsFunc(cfgs, func(c conf.VRRPInstance) bool { return c.Beyond.TrackQuorum != "" }) {
		return false
	}
	lost := map[netip.Addr]ha.Quorum{}
	for a, l := range pools.Lost() {
		lost[a] = ha.Quorum(l)
	}
	to.SetQuorums(lost)
	return true
}
