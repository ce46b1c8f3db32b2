// Package lint explains mistakes that are no mistakes of the language: what is written
// is right, and hardly what was meant. It also holds the files of two directors against
// each other.
package lint

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/conf"
)

// Rules are all that this package knows, as conf.Options and conf.Loader take them.
var Rules conf.Linter = rules{}

// Load reads the configuration file at path as conf.Load does, and explains it.
func Load(path string) (*conf.Config, conf.Diagnostics) {
	return conf.Options{Linter: Rules}.Load(path)
}

type rules struct{}

// Service looks at a virtual server by itself.
func (rules) Service(say conf.Say, v *conf.VirtualServer) {
	quorum(say, v)
}

// Config looks at what several blocks say together.
func (rules) Config(say conf.Say, cfg *conf.Config, o conf.Options) {
	for i := range cfg.VirtualServers {
		vip(say, cfg, &cfg.VirtualServers[i])
	}
	if len(o.Networks) > 0 {
		networks(say, cfg, o)
	}
}

func quorum(say conf.Say, v *conf.VirtualServer) {
	if v.Quorum > 1 && v.Hysteresis == 0 && v.Has("quorum") && !v.Has("hysteresis") {
		say(v.PlaceOf("quorum"), "quorum-hysteresis", fmt.Sprintf("quorum %d has no hysteresis: one server that comes and goes flips the service", v.Quorum),
			"write hysteresis, such as 1")
	}
}

// vip looks for the address of a service among those of the instances: one
// that no director has reaches nobody. A file without instances leaves its
// addresses to somebody else.
func vip(say conf.Say, cfg *conf.Config, v *conf.VirtualServer) {
	if len(cfg.VRRPInstances) == 0 {
		return
	}
	for _, key := range v.Keys {
		if key.Mark == 0 && !holds(cfg, key.Addr) {
			say(v.At(), "service-without-vip", fmt.Sprintf("no vrrp_instance has the address %s", key.Addr), "write it into virtual_ipaddress, if it is not this machine's own")
			return
		}
	}
}

// holds tells whether an instance, or the machine, has an address.
func holds(c *conf.Config, a netip.Addr) bool {
	is := func(v conf.VIP) bool { return v.Prefix.Addr() == a }
	return slices.ContainsFunc(c.Machine.Addresses, is) || slices.ContainsFunc(c.VRRPInstances, func(v conf.VRRPInstance) bool {
		return slices.ContainsFunc(v.VIPs, is) || slices.ContainsFunc(v.Excluded, is)
	})
}

// networks looks for the VIPs in the networks of this machine, where their
// interface is one of its own. A VIP that brings its network needs none.
func networks(say conf.Say, cfg *conf.Config, o conf.Options) {
	for _, v := range cfg.VRRPInstances {
		for _, vip := range v.VIPs {
			known, ours := o.Networks[vip.Device]
			single := vip.Prefix.Bits() == vip.Prefix.Addr().BitLen()
			inside := slices.ContainsFunc(known, func(p netip.Prefix) bool { return p.Contains(vip.Prefix.Addr()) })
			if ours && single && !inside && vip.Prefix.Addr().Is4() {
				say(vip.At(), "vip-network", fmt.Sprintf("%s is in no network of %s", vip.Prefix.Addr(), vip.Device), fmt.Sprintf("%s has %v", vip.Device, known))
			}
		}
	}
}
