package director

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/lvs"
)

// picture is the state that is wanted, as far as it comes from the configuration
// and the checks. It is a value: a reload works out the next one beside it.
type picture struct {
	cfg   *conf.Config // without its virtual servers, which are the pools
	pools []*pool
}

// idOf names an instance of the configuration.
func idOf(c conf.VRRPInstance) lvs.InstanceID {
	return lvs.InstanceID{Interface: c.Interface, VRID: c.VRID}
}

// addrsOf are addresses without their masks.
func addrsOf(vips []conf.VIP) (list []netip.Addr) {
	for _, vip := range vips {
		list = append(list, vip.Prefix.Addr())
	}
	return list
}

// instances are what the data plane is to know of them.
func (p picture) instances() (all []lvs.Instance) {
	for _, c := range p.cfg.VRRPInstances {
		all = append(all, lvs.Instance{ID: idOf(c), VIPs: addrsOf(c.Addresses())})
	}
	return all
}

// next is the picture that another configuration makes of this one, and what is
// different in it. Nothing of this picture changes; what stays as it is (a pool, or a
// check that goes on, with its verdict) is shared by both.
func (p picture) next(cfg *conf.Config) (picture, Changes) {
	n, changes := picture{}, Changes{}
	old := p.byKey()
	kept := map[*pool]bool{}
	for _, vs := range cfg.VirtualServers {
		if was := old.key[vs.Keys[0]]; was != nil && !kept[was] && was.is(vs) {
			kept[was] = true
			n.pools = append(n.pools, was)
			continue
		}
		pool := newPool(vs)
		was := old.find(pool, kept)
		if was == nil {
			changes.Services = append(changes.Services, pool.added())
		} else {
			kept[was] = true
			if c := pool.follow(was); c.Kind != "" {
				changes.Services = append(changes.Services, c)
			}
		}
		n.pools = append(n.pools, pool)
	}
	for _, was := range p.pools {
		if !kept[was] {
			changes.Services = append(changes.Services, was.removed())
		}
	}
	changes.Instances = compareInstances(p.cfg.VRRPInstances, cfg.VRRPInstances)
	changes.Settings = compareWeir(p.cfg.Weir, cfg.Weir)
	changes.Restart = compareTables(p.cfg.Weir.Tables, cfg.Weir.Tables)
	// They are as they were opened, whatever the file says.
	n.cfg = withoutServices(cfg)
	n.cfg.Weir.Tables = p.cfg.Weir.Tables
	return n, changes
}

// withoutServices is the rest of a configuration, so that thousands of services are
// not held twice.
func withoutServices(cfg *conf.Config) *conf.Config {
	c := *cfg
	c.VirtualServers = nil
	return &c
}

// poolsBy finds pools by their services and by their groups.
type poolsBy struct {
	key   map[lvs.ServiceKey]*pool
	group map[string]*pool
}

func (p picture) byKey() poolsBy {
	by := poolsBy{map[lvs.ServiceKey]*pool{}, map[string]*pool{}}
	for _, pool := range p.pools {
		for _, key := range pool.keys {
			by.key[key] = pool
		}
		if pool.group != "" {
			by.group[pool.group] = pool
		}
	}
	return by
}

// find is the pool of before that this one goes on with: one that has a service
// of it, or its name.
func (by poolsBy) find(p *pool, taken map[*pool]bool) *pool {
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
func (p *pool) follow(was *pool) ServiceChange {
	change := ServiceChange{Settings: was.compare(p)}
	fresh := make(map[netip.AddrPort]*member, len(p.members))
	for _, m := range p.members {
		fresh[m.server.AddrPort()] = m
	}
	stay := make([]*member, 0, len(p.members))
	for _, old := range was.members {
		m := fresh[old.server.AddrPort()]
		if m == nil {
			change.Servers = append(change.Servers, old.change(Removed))
			continue
		}
		delete(fresh, old.server.AddrPort())
		if settings := m.follow(old); len(settings) > 0 {
			c := m.change(Changed)
			c.Settings, c.Touched = settings, old.server.Method != m.server.Method
			change.Servers = append(change.Servers, c)
		}
		stay = append(stay, m)
	}
	for _, m := range p.members {
		if fresh[m.server.AddrPort()] == m {
			change.Servers = append(change.Servers, m.change(Added))
			stay = append(stay, m)
		}
	}
	p.members = stay
	if len(change.Settings)+len(change.Servers) > 0 {
		change.Kind, change.Service = Changed, p.title()
	}
	return change
}

// follow makes m go on from the member that was, and says what is different: a
// check that is the same goes on as it is. One with other times begins anew with its
// verdict; one that asks something else begins with the server's, so that no server
// leaves for a check that has not run yet, and none comes back that was out.
func (m *member) follow(was *member) settings {
	different := compareServers(was, m)
	left := slices.Clone(was.probes)
	for i, p := range m.probes {
		j := slices.IndexFunc(left, func(old *probe) bool { return old.check.probeTarget == p.check.probeTarget })
		switch {
		case j < 0:
			p.begin(was.in(), false)
			continue
		case left[j].timers() == p.timers():
			m.probes[i] = left[j]
		default:
			p.begin(left[j].down == nil, true)
			p.down = left[j].down
		}
		left = slices.Delete(left, j, j+1)
	}
	if m.in() == was.in() {
		m.since = was.since
	}
	return different
}
