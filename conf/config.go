package conf

import "weir/conf/text"

// Config is a configuration with every default filled in. Its JSON names are the
// keywords.
type Config struct {
	Global         Global          `json:"global_defs"`
	Machine        Machine         `json:"machine"`
	VRRPInstances  []VRRPInstance  `json:"vrrp_instance"`
	SyncGroups     []*SyncGroup    `json:"vrrp_sync_group"`
	GARPGroups     []*GARPGroup    `json:"garp_group"`
	TrackScripts   []*TrackScript  `json:"vrrp_script"`
	TrackProcesses []*TrackProcess `json:"vrrp_track_process"`
	TrackFiles     []*TrackFile    `json:"track_file"`
	BFDs           []*BFD          `json:"bfd_instance"`
	VirtualServers []VirtualServer `json:"virtual_server"`
	SSL            SSL             `json:"SSL"`
	Weir           Weir            `json:"weir"`
	// Statements are what Show writes: nil unless Options.Show asks for them.
	Statements *Statements `json:"-"`
}

// Summary counts what a configuration holds, for a line of text.
func (c *Config) Summary() string {
	servers := 0
	for _, v := range c.VirtualServers {
		servers += len(v.RealServers)
	}
	return text.Plural(len(c.VRRPInstances), "VRRP instance") + ", " +
		text.Plural(len(c.VirtualServers), "virtual server") + ", " + text.Plural(servers, "real server")
}
