package director

import (
	"net/netip"

	"weir/internal/director/ha"
)

// tracksQuorums says whether an instance follows the quorums of its virtual servers.
func (d *Director) tracksQuorums() bool {
	for i := range d.cfg.VRRPInstances {
		if _, tracks := d.cfg.VRRPInstances[i].Beyond.TrackQuorum.Weight(); tracks {
			return true
		}
	}
	return false
}

// setQuorums tells the instances which virtual servers have lost their quorums, and says
// whether any of them asks for that.
func (d *Director) setQuorums() bool {
	if !d.tracksQuorums() {
		return false
	}
	lost := map[netip.Addr]ha.Quorum{}
	for a, l := range d.pools.Lost() {
		lost[a] = ha.Quorum(l)
	}
	d.instances.SetQuorums(lost)
	return true
}

// followQuorums has the instances follow the quorums where one may have changed since it was
// called last. The loop calls it once for many verdicts.
func (d *Director) followQuorums() {
	if d.decided && d.setQuorums() {
		d.instances.Settle()
	}
	d.decided = false
}
