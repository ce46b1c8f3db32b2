package pool

import (
	"math"
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
func (all Pools) Next(servers []conf.VirtualServer) (Pools, []Change) {
	n := all.Begin(servers)
	for n.Some(math.MaxInt) {
	}
	return n.Pools, n.Changes
}

// Coming are the pools of another configuration while they are worked out, some at a time.
type Coming struct {
	Pools   Pools
	Changes []Change
	was     Pools
	old     index
	kept    map[*Pool]bool
	left    []conf.VirtualServer // those that are not worked out yet
	ended   bool
}

// Begin begins to work out what Next returns. The pools stay those in force until it is
// done; a verdict meanwhile is taken in by CatchUp.
func (all Pools) Begin(servers []conf.VirtualServer) *Coming {
	return &Coming{was: all, old: all.index(), kept: map[*Pool]bool{}, left: servers, Pools: make(Pools, 0, len(servers))}
}

// Some works out virtual servers until they have so many real servers, and says whether
// there are more.
func (n *Coming) Some(servers int) (more bool) {
	for ; len(n.left) > 0 && servers > 0; n.left = n.left[1:] {
		n.add(&n.left[0])
		servers -= 1 + len(n.left[0].RealServers)
	}
	if len(n.left) > 0 || n.ended {
		return !n.ended
	}
	for _, was := range n.was {
		if !n.kept[was] {
			n.Changes = append(n.Changes, was.changed(diff.Removed))
		}
	}
	n.ended = true
	return false
}

func (n *Coming) add(vs *conf.VirtualServer) {
	if was := n.old.key[vs.Keys[0]]; was != nil && !n.kept[was] && was.is(vs) {
		n.kept[was] = true
		n.Pools = append(n.Pools, was)
		return
	}
	p := New(*vs)
	was := n.old.find(p, n.kept)
	if was == nil {
		n.Changes = append(n.Changes, p.changed(diff.Added))
	} else {
		n.kept[was] = true
		if c := p.follow(was); c.Kind != "" {
			n.Changes = append(n.Changes, c)
		}
	}
	n.Pools = append(n.Pools, p)
	p.Services() // laid out now, when there is time for it
}

// CatchUp has pools that were worked out from this one, which is still in force, take in a
// verdict that it has got since.
func (all Pools) CatchUp(was *Pool) {
	for i, p := range all {
		if p.before == was {
			again := New(p.conf)
			again.follow(was)
			all[i] = again
			return
		}
	}
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
	p.before = was
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
	p.members, p.services, p.paths = stay, nil, paths{}
	p.quorum = quorum{up: was.quorum.up, since: was.quorum.since}
	p.tiers = was.tiers
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
	if len(different) == 0 && slices.EqualFunc(ownOf(was.checkers), ownOf(m.checkers), (*Checker).goesOn) {
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
