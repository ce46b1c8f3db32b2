package stats

import (
	"weir/lvs"
)

// ServiceStats is what a service has to do.
type ServiceStats struct {
	// Counter has what passed with servers that were removed, too.
	Counter Counter
	Rates   Rates
	// Present is false for one that was removed, while connections refer to it.
	Present bool
}

// ServerStats is a real server's share of its service.
type ServerStats struct {
	Service lvs.ServiceKey
	Server  lvs.RealServer // without its weight and thresholds
	Counter Counter
	Rates   Rates
	// Present is false for one that was removed, while connections refer to it.
	Present bool
	// Active and Inactive are its live connections, Persistent its templates.
	Active, Inactive, Persistent int
}
