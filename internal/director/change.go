package director

import (
	"strings"

	"weir/conf"
	"weir/internal/director/diff"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
)

// Changes are what a reload would change, or has changed.
type Changes struct {
	Services  []ServiceChange  `json:"services"`
	Instances []InstanceChange `json:"vrrp_instances"`
	// Settings are those outside services and instances.
	Settings []Setting `json:"settings"`
	// Restart is what waits for a restart: a reload leaves it.
	Restart []Setting `json:"restart"`
}

// The parts of Changes, for readers that know the director alone.
type (
	Kind           = diff.Kind
	Setting        = diff.Setting
	ServiceChange  = pool.Change
	ServerChange   = pool.ServerChange
	InstanceChange = ha.Change
)

const (
	Added   = diff.Added
	Removed = diff.Removed
	Changed = diff.Changed
)

// Empty says that a reload would change nothing.
func (c Changes) Empty() bool {
	return len(c.Services)+len(c.Instances)+len(c.Settings)+len(c.Restart) == 0
}

// Touched counts the live connections that do not go on.
func (c Changes) Touched() (n int) {
	for _, s := range c.Services {
		for _, rs := range s.Servers {
			if rs.Touched {
				n += rs.Connections
			}
		}
	}
	return n
}

// settings are the differences outside virtual servers and instances; restart are those
// that wait for a restart.
func settings(was, now *conf.Config) (all, restart []Setting) {
	for _, s := range diff.Settings(conf.Compare(outside(was), outside(now))) {
		s.Name = strings.TrimPrefix(s.Name, "weir ")
		if s.Trait == conf.Restart {
			restart = append(restart, s)
		} else {
			all = append(all, s)
		}
	}
	return all, restart
}

// outside is a configuration without its virtual servers and instances.
func outside(cfg *conf.Config) *conf.Config {
	c := *cfg
	c.VirtualServers, c.VRRPInstances = nil, nil
	return &c
}
