package director

import (
	"net/netip"

	"weir/internal/cluster"
)

// peerLost has the loop probe the real servers at the address of a master that has fallen
// silent, where the configuration says so. It does not wait for the loop.
func (d *Director) peerLost(instance string, peer netip.Addr) {
	probe := func() *cluster.Event {
		if !d.cfg.Weir.PeerProbe {
			return nil
		}
		e := cluster.PeerLost(instance, peer, d.pools.Doubt(peer))
		if d.coming != nil {
			d.coming.pools.Doubted()
		}
		return &e
	}
	select {
	case d.events <- probe:
	default:
		go d.post(probe) // unlike another director's advertisements, this is told once
	}
}
