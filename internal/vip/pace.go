package vip

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Pace is the least time between two announcements on a device: of gratuitous ARPs, and of
// neighbour advertisements (keepalived's vrrp_garp_interval and vrrp_gna_interval). 0 is none.
type Pace struct {
	ARP, NA time.Duration
}

// SharedPace is the pace of several devices, whose announcements wait for each other (a
// garp_group).
type SharedPace struct {
	Devices []string
	Pace
}

// SetPaces has announcements sent at a pace on every device, and at that of the first shared
// one on its devices. Announcements under way go on as they were.
func (e *Engine) SetPaces(all Pace, shared []SharedPace) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paces = &paces{all: all, shared: shared, of: map[string]*gaps{}}
}

// paces are what SetPaces has said. The engine's mu guards them.
type paces struct {
	all    Pace
	shared []SharedPace
	of     map[string]*gaps // by device
}

// gapsOf are those of a device; nil is none.
func (e *Engine) gapsOf(device string) *gaps {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.paces
	if p == nil {
		return nil
	}
	if g, known := p.of[device]; known {
		return g
	}
	pace, devices := p.all, []string{device}
	if i := slices.IndexFunc(p.shared, func(s SharedPace) bool { return slices.Contains(s.Devices, device) }); i >= 0 {
		pace, devices = p.shared[i].Pace, p.shared[i].Devices
	}
	var g *gaps
	if pace != (Pace{}) {
		g = &gaps{pace: pace}
	}
	for _, d := range devices {
		p.of[d] = g
	}
	return g
}

// gaps are when the next announcements may be sent.
type gaps struct {
	pace    Pace
	mu      sync.Mutex
	arp, na time.Time
}

// wait waits until an address may be announced.
func (g *gaps) wait(a netip.Addr) {
	g.mu.Lock()
	next, gap := &g.arp, g.pace.ARP
	if a.Is6() {
		next, gap = &g.na, g.pace.NA
	}
	now := time.Now()
	at := *next
	if at.Before(now) {
		at = now
	}
	*next = at.Add(gap)
	g.mu.Unlock()
	time.Sleep(at.Sub(now))
}
