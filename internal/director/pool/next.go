package pool

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/director/diff"
	"weir/lvs"
)

// Pools are those of a configuration, in its order.
type Pools []*Pool

// Next are the pools that another configuration makes of these, and what is different
// in them. Nothing of these changes; what stays as it is (a pool, or a check that goes
// on, with its verdict) is shared by both.
func (all Pools) Next(servers []conf.VirtualServer) (next Pools, changes []Change) {
	old := all.index()
	kept := map[*Pool]bool{}
	for _, vs := range servers {
		if was := old.key[vs.Keys[0]]; was != nil && !kept[was] && was.is(vs) {
			kept[was] = true
			next = append(next, was)
			continue
		}
		p := New(vs)
		was := old.find(p, kept)
		if was == nil {
			changes = append(changes, p.changed(diff.Added))
		} else {
			kept[was] = true
			if c := p.follow(was); c.Kind != "" {
				changes = append(changes, c)
			}
		}
		next = append(next, p)
	}
	for _, was := range all {
		if !kept[was] {
			changes = append(changes, was.changed(diff.Removed))
		}
	}
	return next, changes
}

// index finds pools by their services and by their groups.
type index struct {
	key   map[lvs.ServiceKey]*Pool
	group map[string]*Pool
}

func (all Pools) index() index {
	by := index{map[lvs.ServiceKey]*Pool{}, map[string]*Pool{}}
	for _, p := range all {
		for _, key := range p.keys {
			by.key[key] = p
		}
		if p.group != "" {
			by.group[p.group] = p
		}
	}
	return by
}

// find is the pool of before that this one goes on with: one that has a service
// of it, or its name.
func (by index) find(p *Pool, taken map[*Pool]bool) *Pool {
	for _, key := range p.keys {
		if was := by.key[key]; was != nil && !taken[was] {
			return was
		}
	}
	if was := by.group[p.group]; was != nil && !taken[was] {
		return was
	}
	return nil
}

// follow makes p go on from the pool that was: servers that stay keep their places
// and verdicts, new ones come behind them, as they would be added one by one.
func (p *Pool) follow(was *Pool) Change {
	change := Change{Settings: diff.Settings(conf.CompareVirtualServer(was.head(), p.head()))}
	fresh := make(map[netip.AddrPort]*member, len(p.members))
	for _, m := range p.members {
		fresh[m.server.AddrPort()] = m
	}
	stay := make([]*member, 0, len(p.members))
	for _, old := range was.members {
		m := fresh[old.server.AddrPort()]
		if m == nil {
			change.Servers = append(change.Servers, old.change(diff.Removed))
			continue
		}
		delete(fresh, old.server.AddrPort())
		if settings := m.follow(old); len(settings) > 0 {
			c := m.change(diff.Changed)
			c.Settings, c.Touched = settings, old.server.Method != m.server.Method
			change.Servers = append(change.Servers, c)
		}
		stay = append(stay, m)
	}
	for _, m := range p.members {
		if fresh[m.server.AddrPort()] == m {
			change.Servers = append(change.Servers, m.change(diff.Added))
			stay = append(stay, m)
		}
	}
	p.members = stay
	p.quorum = quorum{up: was.quorum.up, since: was.quorum.since}
	p.settle()
	if len(change.Settings)+len(change.Servers) > 0 {
		change.Kind, change.Service = diff.Changed, p.title()
	}
	return change
}

// follow makes m go on from the member that was, and says what is different: a
// check that is the same goes on as it is. One with other times begins anew with its
// verdict; one that asks something else begins with the server's, so that no server
// leaves for a check that has not run yet, and none comes back that was out.
func (m *member) follow(was *member) []diff.Setting {
	different := diff.Settings(conf.CompareRealServer(was.conf, m.conf))
	if len(different) == 0 {
		m.checkers, m.since, m.rising = was.checkers, was.since, was.rising
		return nil
	}
	left := slices.Clone(was.checkers)
	for i, c := range m.checkers {
		j := slices.IndexFunc(left, c.asksTheSame)
		switch {
		case j < 0:
			c.begin(was.in(), false)
			continue
		case left[j].goesOn(c):
			m.checkers[i] = left[j]
		default:
			c.begin(left[j].down == nil, true)
			c.down, c.weight = left[j].down, left[j].weight
		}
		left = slices.Delete(left, j, j+1)
	}
	if m.in() == was.in() {
		m.since, m.rising = was.since, was.rising
	}
	return different
}
