// Package nexthop finds the next hops to real servers, and what fits the paths there.
package nexthop

import (
	"net/netip"
	"sync"
	"time"
)

// PathMTUs are the MTUs of the paths that are narrower somewhere than their first
// link, by the address that they lead to. It may be used by several goroutines; the
// zero value is empty.
type PathMTUs struct {
	mu sync.Mutex
	by map[netip.Addr]pathMTU
}

type pathMTU struct {
	mtu   int // bytes
	until time.Time
}

// expires is how long a path is taken to be as narrow as a router said, as by the
// kernel (net.ipv4.route.mtu_expires).
const expires = 10 * time.Minute

// No router that can be believed carries less (net.ipv4.route.min_pmtu; RFC 8200
// section 5).
const leastMTU4, leastMTU6 = 552, 1280

// Of is the MTU of the whole path to an address, in bytes, of whose first link this is
// the MTU.
func (n *PathMTUs) Of(to netip.Addr, first int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	path, known := n.by[to]
	if known && time.Now().After(path.until) {
		delete(n.by, to)
		known = false
	}
	if known {
		return min(first, path.mtu)
	}
	return first
}

// Note enters what a router said of the path to an address: a link on it carries no
// more bytes. What is below the least that a router can be believed is raised to that.
// It returns the MTU that holds now; news is false where no more was known to fit.
func (n *PathMTUs) Note(to netip.Addr, mtu int) (now int, news bool) {
	mtu = max(mtu, leastMTU4)
	if to.Is6() {
		mtu = max(mtu, leastMTU6)
	}
	if now := n.Of(to, mtu); now < mtu {
		return now, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = map[netip.Addr]pathMTU{}
	}
	n.by[to] = pathMTU{mtu, time.Now().Add(expires)}
	return mtu, true
}

// Expire has what is known of the path to an address expire now.
func (n *PathMTUs) Expire(to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.by, to)
}
