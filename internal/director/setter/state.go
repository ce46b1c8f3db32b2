package setter

import (
	"net/netip"
	"reflect"
	"slices"

	"weir/lvs"
)

// state is a plan with its services by their keys.
type state struct {
	plan     lvs.Plan
	services map[lvs.ServiceKey]lvs.VirtualServer
	whole    bool // it is one that was wanted, and not between two
}

func stateOf(plan lvs.Plan) state {
	s := state{plan, make(map[lvs.ServiceKey]lvs.VirtualServer, len(plan.Services)), true}
	for _, vs := range plan.Services {
		s.services[vs.ServiceKey] = vs
	}
	return s
}

// differences are the services that another state adds or has otherwise, in its order, and
// then those that it does not have, in this one's.
func (s state) differences(next state) (keys []lvs.ServiceKey) {
	for _, vs := range next.plan.Services {
		if was, had := s.services[vs.ServiceKey]; !had || !same(was, vs) {
			keys = append(keys, vs.ServiceKey)
		}
	}
	for _, vs := range s.plan.Services {
		if _, stays := next.services[vs.ServiceKey]; !stays {
			keys = append(keys, vs.ServiceKey)
		}
	}
	return keys
}

// same compares two services of one key. Two that share their list of servers are of one
// pool that has not changed: a pool that changes makes new lists.
func same(a, b lvs.VirtualServer) bool {
	if n := len(a.RealServers); n != len(b.RealServers) {
		return false
	} else if n > 0 && &a.RealServers[0] == &b.RealServers[0] {
		return true
	}
	return reflect.DeepEqual(a, b)
}

// changedServers is how many servers have come, gone or changed between two lists. Where
// servers in the midst have come or gone, those behind them count, too.
func changedServers(was, now []lvs.RealServer) (n int) {
	short := min(len(was), len(now))
	first, last := 0, 0 // how many are the same at the two ends
	for first < short && was[first] == now[first] {
		first++
	}
	for last < short-first && was[len(was)-1-last] == now[len(now)-1-last] {
		last++
	}
	was, now = was[first:len(was)-last], now[first:len(now)-last]
	n = max(len(was), len(now))
	for i := range min(len(was), len(now)) {
		if was[i] == now[i] {
			n--
		}
	}
	return n
}

// towards is the state that another one is on the way to, where these services are still as
// they are here. A VIP or a device that either of the two needs is there.
func (s state) towards(next state, later map[lvs.ServiceKey]bool) state {
	plan := next.plan
	plan.Services = make([]lvs.VirtualServer, 0, len(next.plan.Services)+len(later))
	for _, vs := range next.plan.Services {
		if later[vs.ServiceKey] {
			was, had := s.services[vs.ServiceKey]
			if !had {
				continue
			}
			vs = was
		}
		plan.Services = append(plan.Services, vs)
	}
	for _, vs := range s.plan.Services {
		if _, stays := next.services[vs.ServiceKey]; !stays && later[vs.ServiceKey] {
			plan.Services = append(plan.Services, vs)
		}
	}
	plan.Everywhere = plan.Everywhere || s.plan.Everywhere
	plan.Devices = slices.Clone(plan.Devices)
	for _, d := range s.plan.Devices {
		if !slices.ContainsFunc(plan.Devices, func(o lvs.Device) bool { return o.Name == d.Name }) {
			plan.Devices = append(plan.Devices, d)
		}
	}
	plan.Instances = bothInstances(s.plan.Instances, next.plan.Instances)
	between := stateOf(plan)
	between.whole = false
	return between
}

// bothInstances are the next instances, and for VIPs that none of them has those that have
// them now: a service that is about to be removed keeps its lease as long as it is there.
func bothInstances(now, next []lvs.Instance) []lvs.Instance {
	all := slices.Clone(next)
	taken := map[netip.Addr]bool{}
	for _, in := range next {
		for _, vip := range in.VIPs {
			taken[vip] = true
		}
	}
	for _, in := range now {
		left := slices.DeleteFunc(slices.Clone(in.VIPs), func(vip netip.Addr) bool { return taken[vip] })
		i := slices.IndexFunc(all, func(o lvs.Instance) bool { return o.ID == in.ID })
		switch {
		case i < 0: // its machine runs on until the whole change is made, and renews its lease
			all = append(all, lvs.Instance{ID: in.ID, VIPs: left})
		default:
			all[i].VIPs = slices.Concat(all[i].VIPs, left)
		}
	}
	return all
}
