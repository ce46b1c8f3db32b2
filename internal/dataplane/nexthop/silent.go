package nexthop

import (
	"net/netip"
	"sync"
	"time"
)

// silentFor is how long nobody waits again for a neighbour that has not answered. It is
// looked for all the same.
const silentFor = 10 * time.Second

// Silent are the addresses whose neighbours did not answer while somebody waited for them.
// Its zero value is ready for use, by any goroutine.
type Silent struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time // guarded by mu
}

// is says whether an address has been waited for in vain, lately.
func (s *Silent) is(addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, was := s.until[addr]
	return was && time.Now().Before(until)
}

// add notes addresses that have been waited for in vain, and forgets those of long ago.
func (s *Silent) add(addrs []netip.Addr) {
	if len(addrs) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for addr, until := range s.until {
		if now.After(until) {
			delete(s.until, addr)
		}
	}
	if s.until == nil {
		s.until = map[netip.Addr]time.Time{}
	}
	for _, addr := range addrs {
		s.until[addr] = now.Add(silentFor)
	}
}
