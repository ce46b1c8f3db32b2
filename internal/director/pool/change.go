package pool

import (
	"net/netip"

	"weir/internal/director/diff"
	"weir/lvs"
)

// Change is what a reload changes of a virtual server.
type Change struct {
	Service  string         `json:"service"`
	Kind     diff.Kind      `json:"kind"`
	Settings []diff.Setting `json:"settings,omitempty"`
	Servers  []ServerChange `json:"servers,omitempty"`
}

// ServerChange is what changes of a real server.
type ServerChange struct {
	Server   string         `json:"server"`
	Kind     diff.Kind      `json:"kind"`
	Weight   int            `json:"weight"`
	Settings []diff.Setting `json:"settings,omitempty"`
	// Connections are those that it has, and Touched says that they do not go on:
	// their server leaves.
	Connections int  `json:"connections"`
	Touched     bool `json:"touched"`
	// Checked says that an added one waits for its checks.
	Checked bool `json:"waits_for_checks,omitempty"`

	keys   []lvs.ServiceKey
	server lvs.RealServer
}

// Count fills in how many connections each server has that was there before. Live
// counts those of the servers of a service.
func (c *Change) Count(live func(lvs.ServiceKey) map[netip.AddrPort]int) {
	for i := range c.Servers {
		rs := &c.Servers[i]
		if rs.Kind == diff.Added {
			continue
		}
		for _, key := range rs.keys {
			rs.Connections += live(key)[as(rs.server, key).AddrPort()]
		}
	}
}

// changed is the change of a whole pool, which is added or removed.
func (p *Pool) changed(kind diff.Kind) Change {
	c := Change{Service: p.title(), Kind: kind}
	for _, m := range p.members {
		c.Servers = append(c.Servers, m.change(kind))
	}
	return c
}

func (m *member) change(kind diff.Kind) ServerChange {
	return ServerChange{
		Server: m.server.AddrPort().String(), Kind: kind, Weight: m.server.Weight,
		Touched: kind == diff.Removed, Checked: kind == diff.Added && !m.in(), keys: m.pool.keys, server: m.server,
	}
}
