package director

import (
	"weir/conf"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
)

// picture is the state that is wanted, as far as it comes from the configuration
// and the checks. It is a value: a reload works out the next one beside it.
type picture struct {
	cfg   *conf.Config // without its virtual servers, which are the pools
	pools pool.Pools
}

// next is the picture that another configuration makes of this one, and what is
// different in it. Nothing of this picture changes; what stays as it is is shared by
// both.
func (p picture) next(cfg *conf.Config) (picture, Changes) {
	pools, services := p.pools.Next(cfg.VirtualServers)
	changes := Changes{Services: services, Instances: ha.Compare(p.cfg.VRRPInstances, cfg.VRRPInstances)}
	changes.Settings, changes.Restart = settings(p.cfg, cfg)
	n := picture{withoutServices(cfg), pools}
	// They are as they were opened, whatever the file says.
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
