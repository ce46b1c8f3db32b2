package dataplane

import (
	"net/netip"
	"sync"
	"time"
)

// narrows are the ways that are narrower somewhere than their first link, by the
// address that they lead to.
type narrows struct {
	mu sync.Mutex
	by map[netip.Addr]narrow
}

type narrow struct {
	mtu   int // bytes
	until time.Time
}

// narrowFor is how long a way is taken to be as narrow as a router said, as by the
// kernel (net.ipv4.route.mtu_expires).
const narrowFor = 10 * time.Minute

// No router that can be believed carries less (net.ipv4.route.min_pmtu; RFC 8200
// section 5).
const leastMTU4, leastMTU6 = 552, 1280

// mtu is how much the whole way carries, of whose first link this is the MTU.
func (n *narrows) mtu(to netip.Addr, first int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	way, known := n.by[to]
	if known && time.Now().After(way.until) {
		delete(n.by, to)
		known = false
	}
	if known {
		return min(first, way.mtu)
	}
	return first
}

// narrow notes that a link on the way to this address carries no more, and has all
// servers there get no more.
func (p *Plane) narrow(to netip.Addr, mtu int) error {
	mtu = max(mtu, leastMTU4)
	if to.Is6() {
		mtu = max(mtu, leastMTU6)
	}
	if p.narrows.mtu(to, mtu) < mtu { // that is not news
		return nil
	}
	p.narrows.mu.Lock()
	p.narrows.by[to] = narrow{mtu, time.Now().Add(narrowFor)}
	p.narrows.mu.Unlock()
	for key, s := range p.servers {
		if key.addr.Addr() != to || !s.present || s.hop.MTU <= mtu {
			continue
		}
		s.hop.MTU = mtu
		if err := p.putServer(key, s); err != nil {
			return err
		}
	}
	return nil
}
