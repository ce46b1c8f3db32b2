package conf

import (
	"math"
	"strings"
	"time"

	"weir/conf/text"
)

// Files are what stands in global_defs about files, and about reading this one.
type Files struct {
	IncludeCheck    []string `json:"include_check"`
	ReloadCheck     string   `json:"reload_check_config"`
	ReloadTimeFile  string   `json:"reload_time_file"`
	ReloadRepeat    bool     `json:"reload_repeat"`
	ReloadFile      string   `json:"reload_file"`
	ConfigSaveDir   string   `json:"config_save_dir"`
	TmpConfigDir    string   `json:"tmp_config_directory"`
	DataUseInstance bool     `json:"data_use_instance"`
	StateDump       string   `json:"state_dump_file"`
	StatsDump       string   `json:"stats_dump_file"`
	JSONDump        string   `json:"json_dump_file"`
	JSONVersion     int      `json:"json_version"`
	IPRouteUsr      string   `json:"iproute_usr_dir"`
	IPRouteEtc      string   `json:"iproute_etc_dir"`
}

func fileEntries() []*entry {
	type G = Global
	file := nonEmpty("a path")
	entries := []*entry{
		custom("include_check", "[[+|-]readable match wildcard_match brace_match]...", "which includes of nothing are mistakes; alone it means all", readIncludeCheck),
		value("random_seed", number[uint32](0, math.MaxUint32), func(g *G) *uint32 { return &g.RandomSeed }, "the seed of ${_RANDOM}", otherwise("another each time")),
	}
	entries = append(entries, yet(
		optional("reload_check_config", file, "on", func(g *G) *string { return &g.ReloadCheck }, "check a file before it is taken at a reload"),
		value("reload_time_file", file, func(g *G) *string { return &g.ReloadTimeFile }, "a file that says when to reload"),
		present("reload_repeat", func(g *G) *bool { return &g.ReloadRepeat }, "reload at that time every day"),
		optional("reload_file", file, "on", func(g *G) *string { return &g.ReloadFile }, "a file that is there while the configuration is read"),
		value("state_dump_file", file, func(g *G) *string { return &g.StateDump }, "where SIGUSR1 writes the state", initially("/tmp/keepalived.data")),
		value("stats_dump_file", file, func(g *G) *string { return &g.StatsDump }, "where SIGUSR2 writes statistics", initially("/tmp/keepalived.stats")),
		value("json_dump_file", file, func(g *G) *string { return &g.JSONDump }, "where JSON is written", initially("/tmp/keepalived.json")),
		value("json_version", number(1, 2), func(g *G) *int { return &g.JSONVersion }, "the version of the form of json_dump_file", initially(1)),
		onOff("data_use_instance", func(g *G) *bool { return &g.DataUseInstance }, "the instance's name in these files' names"),
	)...)
	entries = append(entries, ignored("it reads the file once and keeps the text in memory",
		value("config_save_dir", file, func(g *G) *string { return &g.ConfigSaveDir }, "where the state before and after a reload is kept"),
		value("tmp_config_directory", file, func(g *G) *string { return &g.TmpConfigDir }, "where a copy of the text is kept"),
	)...)
	return append(entries, ignored("it asks the kernel by number",
		value("iproute_usr_dir", file, func(g *G) *string { return &g.IPRouteUsr }, "where iproute2's tables of names are"),
		value("iproute_etc_dir", file, func(g *G) *string { return &g.IPRouteEtc }, "where iproute2's tables of names are"),
	)...)
}

// includeChecks are the words of include_check.
var includeChecks = []string{"readable", "match", "wildcard_match", "brace_match"}

// readIncludeCheck takes the words; what they mean is done as the text is read,
// see include.go.
func readIncludeCheck(r *reader, st *text.Statement, g *Global) bool {
	for i := 1; i < len(st.Words); i++ {
		name := strings.TrimLeft(st.Words[i].Text, "+-")
		if _, c := oneWord("check", includeChecks...).parse(name); c != nil {
			r.errorAt(st.Words[i].Place, "include_check: "+c.what, "expected "+strings.Join(includeChecks, ", ")+", each with + or - before it if wished")
			return false
		}
	}
	g.IncludeCheck = texts(st.Words[1:])
	return true
}

// Channels are what stands in global_defs about telling others what happens.
type Channels struct {
	FIFO            Script        `json:"notify_fifo"`
	FIFOScript      Script        `json:"notify_fifo_script"`
	VRRPFIFO        Script        `json:"vrrp_notify_fifo"`
	VRRPFIFOScript  Script        `json:"vrrp_notify_fifo_script"`
	LVSFIFO         Script        `json:"lvs_notify_fifo"`
	LVSFIFOScript   Script        `json:"lvs_notify_fifo_script"`
	FIFOOnReload    bool          `json:"fifo_write_vrrp_states_on_reload"`
	SNMPVRRP        bool          `json:"enable_snmp_vrrp"`
	SNMPChecker     bool          `json:"enable_snmp_checker"`
	SNMPRFC         bool          `json:"enable_snmp_rfc"`
	SNMPRFCv2       bool          `json:"enable_snmp_rfcv2"`
	SNMPRFCv3       bool          `json:"enable_snmp_rfcv3"`
	SNMPTraps       bool          `json:"enable_traps"`
	SNMPSocket      string        `json:"snmp_socket"`
	SNMPVSInterval  time.Duration `json:"snmp_vs_stats_update_interval"`
	SNMPRSInterval  time.Duration `json:"snmp_rs_stats_update_interval"`
	DBus            bool          `json:"enable_dbus"`
	DBusName        string        `json:"dbus_service_name"`
	DBusNoInterface string        `json:"dbus_no_interface_name"`
}

func channelEntries() []*entry {
	type G = Global
	vrrp := present("enable_snmp_vrrp", func(g *G) *bool { return &g.SNMPVRRP }, "the VRRP part of KEEPALIVED-MIB")
	entries := []*entry{
		script("notify_fifo", func(g *G) *Script { return &g.FIFO }, "a FIFO for all events"),
		script("notify_fifo_script", func(g *G) *Script { return &g.FIFOScript }, "a program that reads that FIFO"),
		script("vrrp_notify_fifo", func(g *G) *Script { return &g.VRRPFIFO }, "a FIFO for VRRP's events"),
		script("vrrp_notify_fifo_script", func(g *G) *Script { return &g.VRRPFIFOScript }, "a program that reads that FIFO"),
		script("lvs_notify_fifo", func(g *G) *Script { return &g.LVSFIFO }, "a FIFO for the events of servers"),
		script("lvs_notify_fifo_script", func(g *G) *Script { return &g.LVSFIFOScript }, "a program that reads that FIFO"),
		present("fifo_write_vrrp_states_on_reload", func(g *G) *bool { return &g.FIFOOnReload }, "say the states again after a reload"),
	}
	entries = append(entries, yet(
		vrrp, synonym("enable_snmp_keepalived", vrrp),
		present("enable_snmp_checker", func(g *G) *bool { return &g.SNMPChecker }, "the LVS part of KEEPALIVED-MIB"),
		present("enable_snmp_rfc", func(g *G) *bool { return &g.SNMPRFC }, "the MIBs of RFC 2787 and RFC 6527"),
		present("enable_snmp_rfcv2", func(g *G) *bool { return &g.SNMPRFCv2 }, "the MIB of RFC 2787"),
		present("enable_snmp_rfcv3", func(g *G) *bool { return &g.SNMPRFCv3 }, "the MIB of RFC 6527"),
		present("enable_traps", func(g *G) *bool { return &g.SNMPTraps }, "SNMP notifications"),
		value("snmp_socket", nonEmpty("an address"), func(g *G) *string { return &g.SNMPSocket }, "the AgentX master", initially("unix:/var/agentx/master"), firstCounts()),
		value("snmp_vs_stats_update_interval", seconds(time.Millisecond, 30*time.Second), func(g *G) *time.Duration { return &g.SNMPVSInterval }, "how old the counters of virtual servers may be", initially(5*time.Second)),
		value("snmp_rs_stats_update_interval", seconds(time.Millisecond, 30*time.Second), func(g *G) *time.Duration { return &g.SNMPRSInterval }, "how old the counters of real servers may be", otherwise("snmp_vs_stats_update_interval")),
	)...)
	return append(entries, ignored("programs talk to its API, not over D-Bus",
		present("enable_dbus", func(g *G) *bool { return &g.DBus }, "a D-Bus service"),
		value("dbus_service_name", nonEmpty("a name"), func(g *G) *string { return &g.DBusName }, "the name of the D-Bus service", initially("org.keepalived.Vrrp1")),
		value("dbus_no_interface_name", nonEmpty("a name"), func(g *G) *string { return &g.DBusNoInterface }, "the word in D-Bus paths for an instance without an interface", initially("none")),
	)...)
}
