package conf

import (
	"fmt"
	"slices"

	"weir/conf/text"
)

// refs holds names to what they name: trackers, groups' members, sessions.
func refs(r *reader, raw *rawConfig) {
	if raw.unsure {
		return
	}
	n := raw.names()
	for _, i := range raw.instances {
		n.tracks(r, &i.Tracks, raw.bfds)
		for _, v := range i.vips {
			n.look(r, v.at, "track_group", v.TrackGroup)
		}
	}
	for _, g := range raw.sync {
		n.tracks(r, &g.Tracks, raw.bfds)
		n.members(r, &g.given, g.Members)
	}
	for i := range raw.machine.TrackGroups {
		g := &raw.machine.TrackGroups[i]
		n.members(r, &g.given, g.Members)
	}
	for _, v := range raw.machine.Addresses {
		n.look(r, v.at, "track_group", v.TrackGroup)
	}
	sameEnds(r, raw.bfds)
	for _, s := range raw.services {
		for _, rs := range s.servers {
			n.checks(r, rs, raw.bfds)
		}
	}
}

// names are what blocks of a file are called, by keyword.
type names map[string]map[string]bool

func (c *rawConfig) names() names {
	n := names{}
	add := func(keyword, name string) {
		if n[keyword] == nil {
			n[keyword] = map[string]bool{}
		}
		n[keyword][name] = true
	}
	for _, i := range c.instances {
		add("vrrp_instance", i.Name)
	}
	for _, s := range c.scripts {
		add("vrrp_script", s.Name)
	}
	for _, p := range c.processes {
		add("vrrp_track_process", p.Name)
	}
	for _, f := range c.files {
		add("track_file", f.Name)
	}
	for _, b := range c.bfds {
		add("bfd_instance", b.Name)
	}
	for _, g := range c.machine.TrackGroups {
		add("track_group", g.Name)
	}
	return n
}

// look gives a diagnostic where nothing has a name that something uses.
func (n names) look(r *reader, at text.Place, keyword, name string) {
	if name == "" || n[keyword][name] {
		return
	}
	var known []string
	for k := range n[keyword] {
		known = append(known, k)
	}
	hint := fmt.Sprintf("expected the name of a %s of this file", keyword)
	if near := text.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.errorAt(at, fmt.Sprintf("there is no %s %s", keyword, text.Shorten(name)), hint)
}

func (n names) members(r *reader, g *given, members []string) {
	for i, m := range members {
		n.look(r, g.listed(i), "vrrp_instance", m)
	}
}

func (n names) tracks(r *reader, t *Tracks, sessions []*BFD) {
	for _, list := range []struct {
		keyword string
		tracks  []Track
	}{
		{"vrrp_script", t.Scripts}, {"track_file", t.Files},
		{"vrrp_track_process", t.Processes}, {"bfd_instance", t.BFDs},
	} {
		for _, track := range list.tracks {
			n.look(r, track.at, list.keyword, track.Name)
		}
	}
	for _, track := range t.BFDs {
		i := slices.IndexFunc(sessions, func(b *BFD) bool { return b.Name == track.Name })
		if i >= 0 && sessions[i].CheckerOnly && !sessions[i].VRRPOnly {
			r.errorAt(track.at, fmt.Sprintf("bfd_instance %s is for checks only", text.Shorten(track.Name)), "take its word checker out, or add vrrp")
		}
	}
}

func (n names) checks(r *reader, rs *rawServer, sessions []*BFD) {
	if rs == nil {
		return
	}
	for _, c := range rs.checks {
		switch {
		case c.BFD != nil:
			n.look(r, c.PlaceOf("name"), "bfd_instance", c.BFD.Name)
			if i := slices.IndexFunc(sessions, func(b *BFD) bool { return b.Name == c.BFD.Name }); i >= 0 && sessions[i].VRRPOnly && !sessions[i].CheckerOnly {
				r.errorAt(c.PlaceOf("name"), fmt.Sprintf("bfd_instance %s is for VRRP instances only", text.Shorten(c.BFD.Name)), "take its word vrrp out, or add checker")
			}
		case c.File != nil:
			n.look(r, c.PlaceOf("track_file"), "track_file", c.File.TrackFile)
		}
	}
}

// sameEnds gives a diagnostic for a bfd_instance whose packets nobody could tell from those
// of one before it.
func sameEnds(r *reader, all []*BFD) {
	for i, b := range all {
		j := slices.IndexFunc(all[:i], func(other *BFD) bool {
			return other.Neighbor == b.Neighbor && other.Multihop == b.Multihop &&
				(other.Source == b.Source || !other.Source.IsValid() || !b.Source.IsValid())
		})
		if j >= 0 && b.Neighbor.IsValid() {
			r.errorAt(b.PlaceOf("neighbor_ip"), fmt.Sprintf("bfd_instance %s has the same ends as %s", text.Shorten(b.Name), text.Shorten(all[j].Name)), "expected another neighbor_ip, or different source_ips in both")
		}
	}
}
