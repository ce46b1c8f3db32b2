package conf

import (
	"fmt"
	"net/netip"
	"slices"
)

// lint explains mistakes that are no mistakes of the language: what is written
// is right, and hardly what was meant.
func lint(r *reader, raw *rawConfig, cfg *Config, o Options) {
	for _, s := range raw.services {
		if s.serves {
			lintService(r, &s.VirtualServer)
		}
	}
	for i := range cfg.VirtualServers {
		lintVIP(r, cfg, &cfg.VirtualServers[i])
	}
	if len(o.Networks) > 0 {
		lintNetworks(r, cfg, o)
	}
}

// lintService looks at a service by itself.
func lintService(r *reader, v *VirtualServer) {
	lintQuorum(r, v)
	for i := range v.RealServers {
		rs := &v.RealServers[i]
		if rs.Upper > 0 && rs.Lower > rs.Upper {
			r.warnAt(rs.placeOf("lthreshold"), "threshold", fmt.Sprintf("lthreshold %d is above uthreshold %d", rs.Lower, rs.Upper), "expected less")
		}
	}
}

func lintQuorum(r *reader, v *VirtualServer) {
	if v.Quorum > 1 && v.Hysteresis == 0 && v.has("quorum") && !v.has("hysteresis") {
		r.warnAt(v.placeOf("quorum"), "quorum-hysteresis", fmt.Sprintf("quorum %d has no hysteresis: one server that comes and goes flips the service", v.Quorum),
			"write hysteresis, such as 1")
	}
}

// lintVIP looks for the address of a service among those of the instances: one
// that no director has reaches nobody. A file without instances leaves its
// addresses to somebody else.
func lintVIP(r *reader, cfg *Config, v *VirtualServer) {
	if len(cfg.VRRPInstances) == 0 {
		return
	}
	for _, key := range v.Keys {
		if key.Mark == 0 && !cfg.holds(key.Addr) {
			r.warnAt(v.at, "service-without-vip", fmt.Sprintf("no vrrp_instance has the address %s", key.Addr), "write it into virtual_ipaddress, if it is not this machine's own")
			return
		}
	}
}

// holds tells whether an instance, or the machine, has an address.
func (c *Config) holds(a netip.Addr) bool {
	is := func(v VIP) bool { return v.Prefix.Addr() == a }
	return slices.ContainsFunc(c.Machine.Addresses, is) || slices.ContainsFunc(c.VRRPInstances, func(v VRRPInstance) bool {
		return slices.ContainsFunc(v.VIPs, is) || slices.ContainsFunc(v.Excluded, is)
	})
}

// lintNetworks looks for the VIPs in the networks of this machine, where their
// interface is one of its own. A VIP that brings its network needs none.
func lintNetworks(r *reader, cfg *Config, o Options) {
	for _, v := range cfg.VRRPInstances {
		for _, vip := range v.VIPs {
			networks, ours := o.Networks[vip.Device]
			single := vip.Prefix.Bits() == vip.Prefix.Addr().BitLen()
			inside := slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(vip.Prefix.Addr()) })
			if ours && single && !inside && vip.Prefix.Addr().Is4() {
				r.warnAt(vip.at, "vip-network", fmt.Sprintf("%s is in no network of %s", vip.Prefix.Addr(), vip.Device), fmt.Sprintf("%s has %v", vip.Device, networks))
			}
		}
	}
}
