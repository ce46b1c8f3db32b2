package conf

// resolve makes the typed Config of what the text says: inheritance, defaults,
// and the rules that span blocks.
func resolve(r *reader, raw *rawConfig) *Config {
	raw.global.derive()
	for i := range raw.machine.Addresses {
		if a := &raw.machine.Addresses[i]; a.Device == "" {
			a.Device = raw.global.DefaultInterface
		}
	}
	raw.resolveFiles()
	raw.machine.resolveNamespace(r)
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
	raw.weir.vrrp.resolve(r, cfg.VRRPInstances, cfg.VirtualServers)
	raw.weir.resolveExcluded(r)
	return cfg
}
