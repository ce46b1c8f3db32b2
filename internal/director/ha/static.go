package ha

import (
	"cmp"
	"fmt"
	"slices"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/vip"
)

// Watched is an address, a route or a rule of the machine itself that a track_group's instances
// need.
type Watched struct {
	what    string      // in words
	device  string      // what it is on; empty where it names none
	address vip.Address // what Missing lists it by
	entry   netlnk.Entry
	group   conf.TrackGroup
}

// watchedOf are those of a configuration. no_track keeps one from being watched.
func watchedOf(c *conf.Config) (all []Watched) {
	m := &c.Machine
	watch := func(w Watched, group string) {
		i := slices.IndexFunc(m.TrackGroups, func(g conf.TrackGroup) bool { return g.Name == group })
		if group != "" && i >= 0 {
			w.group = m.TrackGroups[i]
			all = append(all, w)
		}
	}
	for _, a := range m.Addresses {
		if !a.NoTrack {
			address := staticAddress(a, c.Global.DefaultInterface)
			watch(Watched{what: "static address " + a.Prefix.String(), device: address.Device, address: address}, a.TrackGroup)
		}
	}
	for _, r := range m.Routes {
		group, device, tracked := optionsOf(r.Options, "dev", "oif")
		if tracked {
			watch(Watched{what: "static route " + r.To.String(), device: device, entry: netlnk.Entry{Words: r.Words}}, group)
		}
	}
	for _, r := range m.Rules {
		group, device, tracked := optionsOf(r.Options, "dev", "iif")
		if tracked {
			watch(Watched{what: "static rule", device: device, entry: netlnk.Entry{Rule: true, Words: r.Words}}, group)
		}
	}
	return all
}

// optionsOf are the words of a line that say which group watches it and on which device it is.
func optionsOf(options []conf.Option, devices ...string) (group, device string, tracked bool) {
	tracked = true
	for _, o := range options {
		switch {
		case o.Name == "track_group":
			group = o.Value
		case o.Name == "no_track":
			tracked = false
		case slices.Contains(devices, o.Name):
			device = cmp.Or(device, o.Value)
		}
	}
	return group, device, tracked
}

// watchedBy are those that an instance needs.
func (t Tracking) watchedBy(instance string) (list []Watched) {
	for _, w := range t.Static {
		if slices.Contains(w.group.Members, instance) {
			list = append(list, w)
		}
	}
	return list
}

// bindWatched looks at the devices of what a track_group watches: the instances are in fault
// while one is down (static_track_group_init in keepalived's vrrp_static_track.c).
func (b *Binding) bindWatched(list []Watched, p *netlnk.Picture) {
	for _, w := range list {
		if w.device == "" || b.Fault != "" {
			continue
		}
		switch l, err := p.Link(w.device); {
		case err != nil:
			b.Fault = fmt.Sprintf("%s, which is tracked: %v", w.what, err)
		case !l.Up:
			b.Fault = fmt.Sprintf("interface %s of %s, which is tracked, is down", w.device, w.what)
		}
	}
}

// isWithout is a fault where something that is watched is missing and cannot be put back.
func (j *judgement) isWithout(list []Watched, missing []vip.Failure) {
	for _, w := range list {
		for _, f := range missing {
			if f.Address == w.address && f.Entry == w.entry {
				j.fail("%s, which is tracked, is missing: %v", w.what, f.Err)
			}
		}
	}
}

// lookForMissing has instances follow what is missing of the machine's own addresses, routes
// and rules, after a repair.
func (s *Instances) lookForMissing() {
	if len(s.tracking.Static) == 0 {
		return
	}
	missing := s.machine.VIPs.Missing(Static)
	same := slices.EqualFunc(missing, s.missing, func(a, b vip.Failure) bool { return a.Address == b.Address && a.Entry == b.Entry })
	s.missing = missing
	if !same {
		s.settle()
	}
}
