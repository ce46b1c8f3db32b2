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

// coming is the picture that another configuration makes of the one in force, while it is
// worked out and put in force. A verdict meanwhile counts for both: see catchUp.
type coming struct {
	picture
	wanted wanted
	work   *pool.Coming
	// changes are what is different in it. It is complete once the pools are worked out.
	changes Changes
	// prepared says that instances wait to be committed or put back, handed that the data
	// plane is on the way to it.
	prepared, handed bool
}

// begin begins to work out what another configuration makes of this picture. Nothing of this
// picture changes; what stays as it is is shared by both.
func (p picture) begin(cfg *conf.Config) *coming {
	c := &coming{picture: picture{cfg: withoutServices(cfg)}, work: p.pools.Begin(cfg.VirtualServers)}
	c.changes.Instances = ha.Compare(p.cfg.VRRPInstances, cfg.VRRPInstances)
	c.changes.Settings, c.changes.Restart = settings(p.cfg, cfg)
	// They are as they were opened, whatever the file says.
	c.cfg.Weir.Tables = p.cfg.Weir.Tables
	return c
}

// some works out the pools of at most so many real servers, and says whether there are more.
func (c *coming) some(servers int) (more bool) {
	more = c.work.Some(servers)
	c.pools, c.changes.Services = c.work.Pools, c.work.Changes
	return more
}

// catchUp has a picture that is not wholly in force take in a checker's verdict.
func (d *Director) catchUp(c *pool.Checker) {
	if was := c.Pool(); was != nil && d.coming != nil {
		d.coming.pools.CatchUp(was)
	}
}

// withoutServices is the rest of a configuration, so that thousands of services are
// not held twice.
func withoutServices(cfg *conf.Config) *conf.Config {
	c := *cfg
	c.VirtualServers = nil
	return &c
}
