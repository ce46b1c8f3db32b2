package director

import (
	"bytes"
	"context"
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

// answersARP says whether a real server answers ARP for a VIP. Another director may: it is
// master, or about to be.
func (d *Director) answersARP(ctx context.Context, server, vip netip.Addr) bool {
	mac, answers := d.machine.AnswersARP(ctx, server, vip)
	if !answers {
		return false
	}
	for _, other := range d.machine.Plane.Left.Directors() {
		if bytes.Equal(other.MAC, mac) {
			return false
		}
	}
	return true
}
