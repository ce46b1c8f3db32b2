package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
	"weir/vrrp"
)

// What another program advertises is heard where it leaves the machine, beside weir's own
// adverts. Hearing it costs every packet that the kernel sends on a device a little, so weir
// listens for some seconds only, again and again, and only while there is another program.
const (
	hearFor       = 8 * time.Second
	hearEvery     = 20 * time.Second
	routerForgets = time.Minute // after it was heard last: its interval may be longer than hearFor
)

// heardRouter is what was heard of a virtual router.
type heardRouter struct {
	to    map[string]int // adverts, by where they are sent
	turns int            // how often the content changed from one advert to the next
	last  string
}

func (h *heardRouter) add(s vrrp.Sent) {
	if h.to == nil {
		h.to = map[string]int{}
	}
	h.to[s.To.String()]++
	if h.last != "" && h.last != s.Content {
		h.turns++
	}
	h.last = s.Content
}

// most is how many adverts were sent to one address: with unicast peers each gets its own.
func (h *heardRouter) most() (n uint64) {
	for _, times := range h.to {
		n = max(n, uint64(times))
	}
	return n
}

// notOurs are the virtual routers of which some adverts were not weir's, which are those of these
// instances, as they were before and after.
func notOurs(before, after []cluster.Instance, heard map[lvs.InstanceID]*heardRouter) (routers []lvs.InstanceID) {
	for id, h := range heard {
		if twice(after, id) {
			continue // instances with unicast peers may be: whose an advert is cannot be told
		}
		at := func(list []cluster.Instance) (cluster.Instance, bool) {
			i := slices.IndexFunc(list, func(in cluster.Instance) bool { return in.ID == id })
			if i < 0 {
				return cluster.Instance{}, false
			}
			return list[i], true
		}
		was, had := at(before)
		is, has := at(after)
		if had != has || is.Sent < was.Sent { // a reload has added, removed or replaced it
			continue
		}
		sent := is.Sent - was.Sent
		switch silent := sent == 0 && was.State != cluster.Master && is.State != cluster.Master; {
		case silent:
		case h.turns >= 2 && h.most() > sent: // another content, and back
		// A count may be one advert behind. Who sends the same does so at the same interval.
		case h.most() >= sent+2 && h.most()+1 >= 2*sent:
		default:
			continue
		}
		routers = append(routers, id)
	}
	return routers
}

// twice says whether two instances have an identity.
func twice(list []cluster.Instance, id lvs.InstanceID) bool {
	n := 0
	for _, in := range list {
		if in.ID == id {
			n++
		}
	}
	return n > 1
}

// hear listens for hearFor on the devices of the instances, and returns what was heard.
func hear(ctx context.Context, instances []cluster.Instance) map[lvs.InstanceID]*heardRouter {
	ctx, cancel := context.WithTimeout(ctx, hearFor)
	defer cancel()
	var mu sync.Mutex // guards heard
	heard := map[lvs.InstanceID]*heardRouter{}
	var listening sync.WaitGroup
	var devices []string
	for _, in := range instances {
		device := in.ID.Interface
		if slices.Contains(devices, device) {
			continue
		}
		devices = append(devices, device)
		// An error is that of a device that is not there: nothing is heard on it.
		listening.Go(func() {
			_ = vrrp.HearSent(ctx, device, nil, func(s vrrp.Sent) {
				mu.Lock()
				defer mu.Unlock()
				id := lvs.InstanceID{Interface: device, VRID: s.VRID, IPv6: s.IPv6}
				if heard[id] == nil {
					heard[id] = new(heardRouter)
				}
				heard[id].add(s)
			})
		})
	}
	listening.Wait()
	return heard
}
