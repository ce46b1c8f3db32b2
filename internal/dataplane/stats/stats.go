package stats

import (
	"weir/lvs"
)

// ServiceStats is what passed for a service.
type ServiceStats struct {
	// Counter has what passed with servers that were removed, too.
	Counter Counter
	Rates   Rates
	// Present is false for one that was removed, while connections refer to it.
	Present bool
}

// ServerStats is what passed for one real server of a service.
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
