package conf

// rawConfig is what a text says, before inheritance and defaults.
type rawConfig struct {
	global    rawGlobal
	instances []*rawInstance
	services  []*rawService
	groups    map[string]*rawGroup
	weir      rawWeir
	// unsure is a text of which something could not be read.
	unsure bool
}

// newRaw is the configuration of an empty text.
func (l *language) newRaw() *rawConfig {
	c := &rawConfig{groups: map[string]*rawGroup{}}
	c.weir.devices = map[string]*rawDevice{}
	l.root.lookup("global_defs").inner.fill(&c.global)
	l.root.lookup("weir").inner.fill(&c.weir)
	return c
}

// rootBlock is the table of what stands outside any block.
func rootBlock() *blockSpec {
	return &blockSpec{entries: append([]*entry{
		section("global_defs", globalBlock(), plain(func(c *rawConfig) *rawGlobal { return &c.global })),
		section("vrrp_instance", instanceBlock(), instanceHead),
		section("virtual_server_group", groupBlock(), groupHead),
		section("virtual_server", serviceBlock(), serviceHead),
		section("weir", weirBlock(), plain(func(c *rawConfig) *rawWeir { return &c.weir })),
	}, later(`
		net_namespace net_namespace_ipvs namespace_with_ipsets instance
		use_pid_dir child_wait_time linkbeat_use_polling linkbeat_interfaces
		interface_up_down_delays track_group static_ipaddress static_routes
		static_rules vrrp_sync_group garp_group vrrp_script
		vrrp_track_process track_file vrrp_track_file bfd_instance
		SSL
	`)...)}
}
