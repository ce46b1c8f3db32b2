package conf

import "net/netip"

// Options are what a run is told besides the file.
type Options struct {
	// ID is the config id, which @ID lines are for; empty is the host's name up
	// to its first dot.
	ID string
	// Silence are kinds of warnings that are not wanted.
	Silence []string
	// Networks are those of this machine by interface; VIPs are looked for in
	// them. None are where the file is another machine's.
	Networks map[string][]netip.Prefix
	// Here is what this machine has; nil where the file is another machine's.
	Here *Here
	// Linter also looks at what is right; nil is nobody.
	Linter Linter
	// Show keeps what Config.Show needs.
	Show bool
}
