package director

import (
	"fmt"
	"net/netip"

	"weir/conf"
	"weir/lvs"
	"weir/vrrp"
)

// describe fills in what is so at the moment: connections, and VRRP states.
func (d *Director) describe(c *Changes, cfg *conf.Config) {
	live := map[lvs.ServiceKey]map[netip.AddrPort]int{}
	for _, s := range c.Services {
		for i := range s.Servers {
			rs := &s.Servers[i]
			if rs.Kind == Added {
				continue
			}
			for _, key := range rs.keys {
				if live[key] == nil {
					live[key] = d.plane.Live(key)
				}
				rs.Connections += live[key][as(rs.server, key).AddrPort()]
			}
		}
	}
	for i := range c.Instances {
		d.describeInstance(&c.Instances[i], cfg)
	}
}

func (d *Director) describeInstance(c *InstanceChange, cfg *conf.Config) {
	in := d.instance(c.id)
	if in == nil {
		c.Next = "begins as BACKUP, and becomes MASTER unless it hears a higher one"
		return
	}
	now := in.vrrp.Snapshot()
	c.State = now.State.String()
	if c.Kind == Removed {
		c.Next = "leaves"
		if now.State == vrrp.Master {
			c.Next = "leaves, and gives its addresses up"
		}
		return
	}
	for _, to := range cfg.VRRPInstances {
		if idOf(to) == c.id {
			c.Next = becomes(now, to)
		}
	}
}

// becomes says how another priority would change an instance's state. A master
// does not know which backups listen.
func becomes(now vrrp.Snapshot, to conf.VRRPInstance) string {
	switch {
	case now.State == vrrp.Master && to.Priority < now.Priority:
		return fmt.Sprintf("becomes BACKUP if another director has more than %d", to.Priority)
	case now.State == vrrp.Backup && to.Priority > now.Peer.Priority && !to.NoPreempt && now.Peer.Addr.IsValid():
		return fmt.Sprintf("becomes MASTER: %s has %d", now.Peer.Addr, now.Peer.Priority)
	case now.State == vrrp.Backup && to.Priority == vrrp.PriorityOwner:
		return "becomes MASTER: it owns the addresses"
	}
	return ""
}
