package conf

import (
	"fmt"

	"weir/conf/text"
)

// resolve makes the typed Config of what the text says: inheritance, defaults,
// and the rules that span blocks.
func resolve(r *reader, raw *rawConfig) *Config {
	raw.global.derive()
	cfg := &Config{
		Global:         raw.global,
		Machine:        raw.machine,
		VRRPInstances:  resolveInstances(r, raw),
		SyncGroups:     raw.sync,
		GARPGroups:     raw.garp,
		TrackScripts:   raw.scripts,
		TrackProcesses: raw.processes,
		TrackFiles:     raw.files,
		BFDs:           raw.bfds,
		VirtualServers: resolveServices(r, raw),
		SSL:            raw.ssl,
		Weir:           raw.weir.resolve(&raw.global),
	}
	raw.weir.resolveRules(r, cfg.VirtualServers)
	return cfg
}

// unique tells whether a key is new, and gives a diagnostic naming the first
// place when it is not.
func unique[K comparable](r *reader, first map[K]text.Place, key K, at text.Place, what string) bool {
	before, taken := first[key]
	if taken {
		r.errorAt(at, what, "take one of them out", fmt.Sprintf("first given at %s", before))
		return false
	}
	first[key] = at
	return true
}
