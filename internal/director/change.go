package director

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"weir/conf"
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

// Kind is how something differs.
type Kind string

const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Setting is one value that changes.
type Setting struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// ServiceChange is what changes of a virtual server.
type ServiceChange struct {
	Service  string         `json:"service"`
	Kind     Kind           `json:"kind"`
	Settings []Setting      `json:"settings,omitempty"`
	Servers  []ServerChange `json:"servers,omitempty"`
}

// ServerChange is what changes of a real server.
type ServerChange struct {
	Server   string    `json:"server"`
	Kind     Kind      `json:"kind"`
	Weight   int       `json:"weight"`
	Settings []Setting `json:"settings,omitempty"`
	// Connections are those that it has, and Touched says that they do not go on:
	// their server leaves.
	Connections int  `json:"connections"`
	Touched     bool `json:"touched"`
	// Checked says that an added one waits for its checks.
	Checked bool `json:"waits_for_checks,omitempty"`

	keys   []lvs.ServiceKey
	server lvs.RealServer
}

// InstanceChange is what changes of a VRRP instance.
type InstanceChange struct {
	Instance string    `json:"instance"`
	Kind     Kind      `json:"kind"`
	Settings []Setting `json:"settings,omitempty"`
	// State is the one that it is in, and Next says what becomes of it; it is
	// empty where the state stays.
	State string `json:"state,omitempty"`
	Next  string `json:"next,omitempty"`

	id lvs.InstanceID
}

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

// title names the pool and, where it is a group's, its services.
func (p *pool) title() string {
	if p.group == "" {
		return p.name
	}
	var keys []string
	for _, key := range p.keys {
		keys = append(keys, key.String())
	}
	return p.name + " (" + strings.Join(keys, ", ") + ")"
}

func (p *pool) added() ServiceChange {
	c := ServiceChange{Service: p.title(), Kind: Added}
	for _, m := range p.members {
		c.Servers = append(c.Servers, m.change(Added))
	}
	return c
}

func (p *pool) removed() ServiceChange {
	c := ServiceChange{Service: p.title(), Kind: Removed}
	for _, m := range p.members {
		c.Servers = append(c.Servers, m.change(Removed))
	}
	return c
}

func (m *member) change(kind Kind) ServerChange {
	return ServerChange{
		Server: m.server.AddrPort().String(), Kind: kind, Weight: m.server.Weight,
		Touched: kind == Removed, Checked: kind == Added && !m.in(), keys: m.pool.keys, server: m.server,
	}
}

// settings gathers what differs of two values, name by name.
type settings []Setting

func (s *settings) compare(name string, from, to any) {
	if f, t := fmt.Sprint(from), fmt.Sprint(to); f != t {
		*s = append(*s, Setting{name, f, t})
	}
}

// onOff is a flag as people write it.
func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// compare lists what the pool that was has otherwise than the one that comes.
func (p *pool) compare(to *pool) (s settings) {
	for _, key := range to.keys {
		if !slices.Contains(p.keys, key) {
			s.compare("service", "", key)
		}
	}
	for _, key := range p.keys {
		if !slices.Contains(to.keys, key) {
			s.compare("service", key, "")
		}
	}
	if from := p.empty; !reflect.DeepEqual(from, to.empty) {
		s.compare("lb_algo", from.Scheduler, to.empty.Scheduler)
		s.compare("sh-port", onOff(from.SHPort), onOff(to.empty.SHPort))
		s.compare("sh-fallback", onOff(from.SHFallback), onOff(to.empty.SHFallback))
		s.compare("persistence_timeout", from.Persistence.Timeout, to.empty.Persistence.Timeout)
		s.compare("persistence_granularity", maskOf(from), maskOf(to.empty))
		s.compare("ops", onOff(from.OnePacket), onOff(to.empty.OnePacket))
		s.compare("rules", fmt.Sprintf("%+v", from.Rules), fmt.Sprintf("%+v", to.empty.Rules))
	}
	return s
}

func maskOf(vs lvs.VirtualServer) string {
	if !vs.Persistence.Netmask.IsValid() {
		return "the whole address"
	}
	return vs.Persistence.Netmask.String()
}

func compareServers(was, now *member) (s settings) {
	if from, to := was.server, now.server; from != to {
		s.compare("weight", from.Weight, to.Weight)
		s.compare("lvs_method", from.Method, to.Method)
		s.compare("uthreshold", from.Upper, to.Upper)
		s.compare("lthreshold", from.Lower, to.Lower)
	}
	if !sameProbes(was.probes, now.probes) {
		s.compare("checks", describeProbes(was.probes), describeProbes(now.probes))
	}
	return s
}

func sameProbes(a, b []*probe) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].check.probeTarget != b[i].check.probeTarget || a[i].timers() != b[i].timers() {
			return false
		}
	}
	return true
}

func describeProbes(probes []*probe) string {
	if len(probes) == 0 {
		return "none"
	}
	var all []string
	for _, p := range probes {
		c := p.check
		text := fmt.Sprintf("%s %s every %s, time-out %s, %d more tries after %s", c.Kind, c.Connect, c.DelayLoop, c.ConnectTimeout, c.Retry, c.DelayBeforeRetry)
		if c.Bind.IsValid() {
			text += " from " + c.Bind.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func compareInstances(was, now []conf.VRRPInstance) (all []InstanceChange) {
	old := map[lvs.InstanceID]conf.VRRPInstance{}
	for _, c := range was {
		old[idOf(c)] = c
	}
	for _, c := range now {
		before, stays := old[idOf(c)]
		delete(old, idOf(c))
		change := InstanceChange{Instance: c.Name, Kind: Added, id: idOf(c)}
		if stays {
			change.Kind, change.Settings = Changed, compareInstance(before, c)
		}
		if !stays || len(change.Settings) > 0 {
			all = append(all, change)
		}
	}
	for _, c := range was {
		if _, gone := old[idOf(c)]; gone {
			all = append(all, InstanceChange{Instance: c.Name, Kind: Removed, id: idOf(c)})
		}
	}
	return all
}

// compareInstance leaves out the state to begin in: a running instance has one.
func compareInstance(was, now conf.VRRPInstance) (s settings) {
	s.compare("vrrp_instance", was.Name, now.Name)
	s.compare("priority", was.Priority, now.Priority)
	s.compare("advert_int", was.AdvertInterval, now.AdvertInterval)
	s.compare("virtual_ipaddress", describeVIPs(was.VIPs), describeVIPs(now.VIPs))
	s.compare("virtual_ipaddress_excluded", describeVIPs(was.Excluded), describeVIPs(now.Excluded))
	s.compare("unicast_peer", was.UnicastPeers(), now.UnicastPeers())
	s.compare("unicast_src_ip", addrOr(was.SourceIP, "the interface's"), addrOr(now.SourceIP, "the interface's"))
	s.compare("nopreempt", onOff(was.NoPreempt), onOff(now.NoPreempt))
	s.compare("preempt_delay", was.PreemptDelay, now.PreemptDelay)
	s.compare("garp_master_delay", was.GARPDelay, now.GARPDelay)
	s.compare("garp_master_repeat", was.GARPRepeat, now.GARPRepeat)
	if was.Auth.Type != now.Auth.Type || was.Auth.Password != now.Auth.Password {
		s = append(s, Setting{"authentication", "as it was", "another"}) // a password stays out of terminals and logs
	}
	return s
}

func describeVIPs(vips []conf.VIP) string {
	var all []string
	for _, v := range vips {
		all = append(all, v.Prefix.String()+" dev "+v.Device)
	}
	return strings.Join(all, ", ")
}

func addrOr(a netip.Addr, otherwise string) string {
	if !a.IsValid() {
		return otherwise
	}
	return a.String()
}

func compareWeir(was, now conf.Weir) (s settings) {
	s.compare("device", describeDevices(was.Devices), describeDevices(now.Devices))
	s.compare("mark", describeMarks(was.Marks), describeMarks(now.Marks))
	if from, to := was.Timeouts.Timeouts, now.Timeouts.Timeouts; from != to {
		s.compare("timeouts", fmt.Sprintf("%+v", from), fmt.Sprintf("%+v", to))
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

func compareTables(was, now conf.Tables) (s settings) {
	s.compare("tables connections", was.Connections, now.Connections)
	s.compare("tables templates", was.Templates, now.Templates)
	s.compare("tables services", was.Services, now.Services)
	s.compare("tables servers", was.Servers, now.Servers)
	return s
}
