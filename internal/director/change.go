package director

import (
	"fmt"
	"strings"

	"weir/conf"
	"weir/internal/director/diff"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
	"weir/lvs"
)

// Changes are what a reload would change, or has changed.
type Changes struct {
	Services  []ServiceChange  `json:"services"`
	Instances []InstanceChange `json:"vrrp_instances"`
	// Settings are those of the weir block.
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

func compareWeir(was, now conf.Weir) (s diff.Settings) {
	s.Compare("device", describeDevices(was.Devices), describeDevices(now.Devices))
	s.Compare("mark", describeMarks(was.Marks), describeMarks(now.Marks))
	if from, to := was.Timeouts.Timeouts, now.Timeouts.Timeouts; from != to {
		s.Compare("timeouts", fmt.Sprintf("%+v", from), fmt.Sprintf("%+v", to))
	}
	return s
}

func describeDevices(devices []conf.Device) string {
	var all []string
	for _, d := range devices {
		all = append(all, d.Name+" "+string(d.Hook))
	}
	return strings.Join(all, ", ")
}

func describeMarks(marks []lvs.MarkRule) string {
	var all []string
	for _, m := range marks {
		all = append(all, fmt.Sprintf("%+v", m))
	}
	return strings.Join(all, ", ")
}

func compareTables(was, now conf.Tables) (s diff.Settings) {
	s.Compare("tables connections", was.Connections, now.Connections)
	s.Compare("tables templates", was.Templates, now.Templates)
	s.Compare("tables services", was.Services, now.Services)
	s.Compare("tables servers", was.Servers, now.Servers)
	return s
}
