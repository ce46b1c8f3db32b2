package conf

import (
	"time"

	"weir/conf/text"
)

// Machine is what stands outside the blocks: about the process, and what it
// gives the machine for as long as it runs.
type Machine struct {
	given
	NetNamespace     string           `json:"net_namespace"`
	NetNamespaceIPVS string           `json:"net_namespace_ipvs"`
	NamespaceIPSets  bool             `json:"namespace_with_ipsets"`
	Instance         string           `json:"instance"`
	PIDDir           bool             `json:"use_pid_dir"`
	ChildWaitTime    time.Duration    `json:"child_wait_time"`
	LinkPolling      bool             `json:"linkbeat_use_polling"`
	LinkbeatDevices  []Option         `json:"linkbeat_interfaces"`
	UpDownDelays     []InterfaceDelay `json:"interface_up_down_delays"`
	TrackGroups      []TrackGroup     `json:"track_group"`
	Addresses        []VIP            `json:"static_ipaddress"`
	Routes           []Route          `json:"static_routes"`
	Rules            []Rule           `json:"static_rules"`
}

// InterfaceDelay is how long a change of a link waits before it counts.
type InterfaceDelay struct {
	Interface string        `json:"interface"`
	Down      time.Duration `json:"down"`
	Up        time.Duration `json:"up"`
}

// TrackGroup are the instances that fail with a static address, route or rule.
type TrackGroup struct {
	given
	Name    string   `json:"track_group"`
	Members []string `json:"group"`
}

// machineEntries are the keywords outside any block that say something alone,
// and the static blocks; machine is where they go.
func machineEntries[C any](machine func(*C) *Machine) []*entry {
	entries := []*entry{
		section("track_group", trackGroupBlock(), "instances that fail with a static address, route or rule", func(r *reader, st *text.Statement, c *C) *TrackGroup {
			return trackGroupHead(r, st, machine(c))
		}),
		section("interface_up_down_delays", delayBlock(), "how long a change of a link waits before it counts", plain(machine)),
		section("static_ipaddress", vipBlock("static_ipaddress", hostAddress(), func(m *Machine, v VIP) { m.Addresses = append(m.Addresses, v) }), "addresses that this machine has", plain(machine)),
		section("static_routes", routeBlock("static_routes", func(m *Machine, v Route) { m.Routes = append(m.Routes, v) }), "routes that this machine has", plain(machine)),
		section("static_rules", ruleBlock("static_rules", func(m *Machine, v Rule) { m.Rules = append(m.Rules, v) }), "policy rules that this machine has", plain(machine)),
	}
	entries = append(entries,
		value("net_namespace", nonEmpty("a network namespace's name"), func(c *C) *string { return &machine(c).NetNamespace }, "the network namespace to run in", firstCounts(), reloads(Restart), example("blue", "red")),
		optional("net_namespace_ipvs", nonEmpty("a network namespace's name"), "", func(c *C) *string { return &machine(c).NetNamespaceIPVS }, "the network namespace of the virtual servers; without a name the default one. It has to be that of net_namespace", firstCounts(), reloads(Restart), example("blue", "red")),
	)
	entries = append(entries, ignored("it keeps no files of process numbers, and --run-dir tells one weir from another",
		value("instance", nonEmpty("a name"), func(c *C) *string { return &machine(c).Instance }, "the name of this process in its files' names", firstCounts()),
	)...)
	entries = append(entries, ignored(oneProcess,
		present("use_pid_dir", func(c *C) *bool { return &machine(c).PIDDir }, "files of process numbers in a folder"),
		value("child_wait_time", wholeSeconds(0, maxTimer), func(c *C) *time.Duration { return &machine(c).ChildWaitTime }, "how long the first process waits for the others", initially(5*time.Second)),
		present("namespace_with_ipsets", func(c *C) *bool { return &machine(c).NamespaceIPSets }, "ipsets in network namespaces of kernels before 3.13"),
	)...)
	return append(entries, ignored("it follows the kernel's reports of every link",
		present("linkbeat_use_polling", func(c *C) *bool { return &machine(c).LinkPolling }, "ask for the state of links"),
		section("linkbeat_interfaces", linkbeatBlock(), "the interfaces whose state is asked for", plain(machine)),
	)...)
}

func delayBlock() *blockSpec {
	return list("interface_up_down_delays", "INTERFACE DOWN [UP]", func(r *reader, st *text.Statement, m *Machine) {
		var d InterfaceDelay
		var ok bool
		if d.Interface, ok = word(r, st, 0, device()); !ok {
			return
		}
		delays, ok := rest(r, st, 1, seconds(0, 255*time.Second))
		if ok && len(delays) > 2 {
			r.extra(st, 3)
			return
		}
		if !ok {
			return
		}
		if d.Down = delays[0]; len(delays) > 1 {
			d.Up = delays[1]
		}
		m.UpDownDelays = append(m.UpDownDelays, d)
	})
}

func trackGroupBlock() *blockSpec {
	type G = TrackGroup
	names := list("group", "the names of vrrp_instances", func(_ *reader, st *text.Statement, g *G) {
		for _, w := range st.Words {
			g.Members = append(g.Members, w.Text)
			g.noteLine(w.Place)
		}
		g.note("group", st.Place())
	})
	names.words = isName
	return &blockSpec{name: "track_group", entries: []*entry{section("group", names, "the instances", plain(func(g *G) *G { return g }))}}
}

func trackGroupHead(r *reader, st *text.Statement, m *Machine) *TrackGroup {
	name, ok := one(r, st, nonEmpty("a name"))
	if !ok {
		return nil
	}
	m.TrackGroups = append(m.TrackGroups, TrackGroup{Name: name})
	return &m.TrackGroups[len(m.TrackGroups)-1]
}

func linkbeatBlock() *blockSpec {
	ways := oneWord("way to ask", "MII", "ETHTOOL", "IOCTL", "mii", "ethtool", "ioctl")
	return list("linkbeat_interfaces", "INTERFACE [MII|ETHTOOL|IOCTL]", func(r *reader, st *text.Statement, m *Machine) {
		name, ok := word(r, st, 0, device())
		o := Option{Name: name}
		if ok && len(st.Words) > 1 {
			o.Value, ok = word(r, st, 1, ways)
		}
		if ok {
			m.LinkbeatDevices = append(m.LinkbeatDevices, o)
		}
	})
}

// SSL is the client's side of SSL_GET: its certificate.
type SSL struct {
	given
	Password    string `json:"password"`
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

func sslBlock() *blockSpec {
	type S = SSL
	return &blockSpec{name: "SSL", entries: []*entry{
		value("password", nonEmpty("a password"), func(s *S) *string { return &s.Password }, "the key's password", secret("hidden"), example("secret", "hidden")),
		value("certificate", nonEmpty("a path"), func(s *S) *string { return &s.Certificate }, "the file of this machine's certificate, in PEM, and those that sign it"),
		value("key", nonEmpty("a path"), func(s *S) *string { return &s.Key }, "the file of that certificate's key, in PEM"),
		ignored("SSL_GET does not verify the server's certificate, as in keepalived, unless verify_certificates in the weir block says so", value("ca", nonEmpty("a path"), func(s *S) *string { return &s.CA }, "the authority's certificate"))[0],
	}}
}

// resolveNamespace refuses virtual servers in another network namespace than the rest: one
// process forwards, checks and speaks VRRP, and does so in one.
func (m *Machine) resolveNamespace(r *reader) {
	if m.Has("net_namespace_ipvs") && m.NetNamespaceIPVS != m.NetNamespace {
		r.pending("a net_namespace_ipvs other than net_namespace", m.PlaceOf("net_namespace_ipvs"))
	}
}
