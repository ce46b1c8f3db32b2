package nexthop

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"weir/internal/netlnk"
)

// Finder finds the next hops to many servers at once: it asks the kernel once for each
// address. One goroutine uses it, which holds no lock that others wait for.
type Finder struct {
	log      *slog.Logger
	paths    *PathMTUs
	silent   *Silent
	resolver *netlnk.Resolver   // nil before it is needed
	known    map[netip.Addr]int // the index in hops
	hops     []netlnk.NextHop   // those of many servers are one
}

// NewFinder makes a Finder for one round of questions. What it learns of paths and of
// neighbours that do not answer is shared with other rounds.
func NewFinder(log *slog.Logger, paths *PathMTUs, silent *Silent) *Finder {
	return &Finder{log: log, paths: paths, silent: silent, known: map[netip.Addr]int{}}
}

// note notes what was found of an address. Servers that stand next to each other in a
// configuration mostly have one next hop.
func (f *Finder) note(addr netip.Addr, hop netlnk.NextHop) {
	last := len(f.hops) - 1
	if last < 0 || !Same(f.hops[last], hop) || f.hops[last].Refused != hop.Refused {
		f.hops = append(f.hops, hop)
		last++
	}
	f.known[addr] = last
}

// Close closes its socket.
func (f *Finder) Close() {
	if f.resolver != nil {
		f.resolver.Close()
		f.resolver = nil
	}
}

// Find asks the kernel for the next hop to an address, and has it look for a neighbour
// that is not known or not confirmed. An address without a route has none, and is unreachable.
func (f *Finder) Find(addr netip.Addr) netlnk.NextHop {
	if _, known := f.known[addr]; !known {
		hop, err := f.ask(addr)
		if err != nil {
			f.log.Debug("no route to real server", "real_server", addr, "error", err)
		}
		f.note(addr, hop)
		if f.paths.Refused(addr, hop.Refused) && hop.Refused != "" {
			f.log.Warn("packets to a real server cannot be sent", "real_server", addr, "why", hop.Refused)
		}
	}
	hop, _ := f.Known(addr)
	return hop
}

// Known is what Find or Await found, with the MTU of the path as it is known now; ok
// is false for an address that was not asked for. It asks nobody.
func (f *Finder) Known(addr netip.Addr) (hop netlnk.NextHop, ok bool) {
	at, ok := f.known[addr]
	if ok {
		hop = f.hops[at]
	}
	hop.MTU = f.paths.Of(addr, hop.MTU)
	return hop, ok
}

func (f *Finder) ask(addr netip.Addr) (netlnk.NextHop, error) {
	if f.resolver == nil {
		resolver, err := netlnk.NewResolver()
		if err != nil {
			return netlnk.NextHop{}, err
		}
		f.resolver = resolver
	}
	return f.resolver.Resolve(addr)
}

// Want is a server about to get clients, and the next hop that was known of it; nil is none.
type Want struct {
	Addr netip.Addr
	Old  *netlnk.NextHop
}

const (
	// neighbourPatience is how long Await waits for the neighbours of new servers,
	// which answer within some milliseconds if they are there: before that, packets
	// to them would be lost.
	neighbourPatience = 100 * time.Millisecond
	// neighbourPoll is the time between two looks.
	neighbourPoll = 2 * time.Millisecond
)

// Await finds the next hops of servers, and gives the kernel up to 100 ms to find
// neighbours that it does not know. Those that do not answer are left unresolved, and are
// not waited for again for a while.
func (f *Finder) Await(wanted []Want) {
	var missing []netip.Addr
	for _, w := range wanted {
		hop := f.Find(w.Addr)
		if w.Old != nil {
			hop = Freshest(*w.Old, hop)
		}
		if hop.Index != 0 && !hop.Local && !hop.Valid && hop.Refused == "" && !f.silent.is(w.Addr) {
			missing = append(missing, w.Addr)
		}
	}
	slices.SortFunc(missing, netip.Addr.Compare)
	missing = slices.Compact(missing)
	deadline := time.Now().Add(neighbourPatience)
	for len(missing) > 0 && time.Now().Before(deadline) {
		time.Sleep(neighbourPoll)
		again := NewFinder(f.log, f.paths, f.silent)
		missing = slices.DeleteFunc(missing, func(addr netip.Addr) bool {
			if !again.Find(addr).Valid {
				return false
			}
			f.note(addr, again.hops[again.known[addr]])
			return true
		})
		again.Close()
	}
	f.silent.add(missing)
}

// Freshest is a next hop as it was found, with the neighbour's address as it was known where
// it is not found: the neighbour table drops entries that were not used for a while. A
// neighbour that has not answered stays unreachable while it is asked again. All else is as
// found: the device may have another address or MTU by now.
func Freshest(old, found netlnk.NextHop) netlnk.NextHop {
	sameHop := old.Index == found.Index && old.Gateway == found.Gateway && !found.Local
	if found.Valid || found.Unreachable || !sameHop || found.Refused != "" || len(found.Src) != len(old.Src) {
		return found
	}
	if old.Valid {
		found.Dst, found.Valid = old.Dst, true
	}
	found.Unreachable = old.Unreachable && old.Index != 0
	return found
}

// Same says whether two next hops are the same in everything.
func Same(a, b netlnk.NextHop) bool {
	return a.Index == b.Index && a.Gateway == b.Gateway && a.Local == b.Local && a.Valid == b.Valid &&
		a.Unreachable == b.Unreachable && a.Source == b.Source && a.MTU == b.MTU &&
		string(a.Src) == string(b.Src) && string(a.Dst) == string(b.Dst)
}
