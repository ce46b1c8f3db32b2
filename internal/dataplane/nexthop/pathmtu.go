// Package nexthop finds the next hops to real servers, and what fits the paths there.
package nexthop

import (
	"net/netip"
	"sync"
	"time"
)

// PathMTUs are the path MTUs that are below the MTU of the first link, by destination
// address. It may be used by several goroutines; the zero value is empty.
type PathMTUs struct {
	mu      sync.Mutex
	by      map[netip.Addr]pathMTU
	refused map[netip.Addr]string // what was told last of paths on which nothing can be sent
}

// Refused notes why nothing can be sent to an address; "" says that something can be. It
// returns whether that is news.
func (n *PathMTUs) Refused(to netip.Addr, why string) (news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused[to] == why {
		return false
	}
	if n.refused == nil {
		n.refused = map[netip.Addr]string{}
	}
	if n.refused[to] = why; why == "" {
		delete(n.refused, to)
	}
	return true
}

type pathMTU struct {
	mtu   int // bytes
	until time.Time
}

// expires is how long a path MTU that a router reported is used, as in the kernel
// (net.ipv4.route.mtu_expires).
const expires = 10 * time.Minute

// The least path MTU that is believed (net.ipv4.route.min_pmtu; RFC 8200 section 5).
const leastMTU4, leastMTU6 = 552, 1280

// Of is the path MTU to an address, in bytes; first is the MTU of the path's first link.
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

// Note enters a path MTU, in bytes, that a router reported. One below the least that is
// believed is raised to that. It returns the path MTU that is used now; news is false where
// that is not lower than before.
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

// Expire forgets the path MTU to an address.
func (n *PathMTUs) Expire(to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.by, to)
}
