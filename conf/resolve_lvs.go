package conf

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/conf/text"
	"weir/lvs"
)

func resolveServices(r *reader, raw *rawConfig) []VirtualServer {
	first := make(map[lvs.ServiceKey]text.Place, len(raw.services))
	var services []VirtualServer
	if len(raw.services) > 0 {
		services = make([]VirtualServer, 0, len(raw.services))
	}
	for _, s := range raw.services {
		if s.part != nil {
			services = s.part.resolve(r, first, services)
			continue
		}
		r.diags.Now = s.head.All()
		if !s.resolveKeys(r, raw) {
			continue
		}
		s.sayProtocol(r)
		if s.serves = !s.collides(r, first) && s.resolve(r); s.serves {
			services = append(services, s.VirtualServer)
		}
	}
	for i := range services { // parts are read without what is global
		services[i].resolveAlerts(&raw.global)
	}
	return services
}

// resolveAlerts fills in whether there are mails: about a real server there are, unless
// somebody says otherwise. A part's real servers are not changed, since a Config of before
// may have the same.
func (s *VirtualServer) resolveAlerts(g *Global) {
	if !s.Has("smtp_alert") {
		s.SMTPAlert = g.SMTPAlertChecker
	}
	if !g.Has("smtp_alert_checker") || g.SMTPAlertChecker {
		return
	}
	s.RealServers = slices.Clone(s.RealServers)
	for i := range s.RealServers {
		if one := &s.RealServers[i]; !one.Has("smtp_alert") {
			one.SMTPAlert = false
		}
	}
}

// resolve fills in the rest, and tells whether there is something to serve.
func (s *rawService) resolve(r *reader) bool {
	s.sayDefaults(r)
	s.resolvePersistence(r)
	s.sayFlags(r)
	s.RealServers = s.resolveServers(r)
	s.resolveQuorum(r)
	s.checkSorry(r)
	if len(s.servers) == 0 && !s.mentions("real_server") {
		r.warnAt(s.head.All(), "no-real-server", s.head.Title()+" has no real_server: it is left out", "expected real_server IP PORT { }")
		return false
	}
	return true
}

// resolveKeys works out which services it is.
func (s *rawService) resolveKeys(r *reader, raw *rawConfig) (ok bool) {
	switch {
	case s.mark != 0:
		s.Keys = []lvs.ServiceKey{lvs.MarkKey(s.mark, s.markFamily())}
		return true
	case s.Group == "":
		s.Keys = []lvs.ServiceKey{{Protocol: s.Protocol, Addr: s.address, Port: s.port}}
		return true
	}
	g := raw.groups[s.Group]
	if g == nil {
		if !raw.unsure {
			r.errorAt(s.head.Words[2].Place, fmt.Sprintf("there is no virtual_server_group %s", s.Group), "expected the name of one that the file has")
		}
		return false
	}
	s.Keys, ok = g.keys(r, s.Protocol)
	return ok && len(s.Keys) > 0
}

// markFamily is that of a service by mark: as it says, or as its real servers.
func (s *rawService) markFamily() bool {
	if s.Has("ip_family") {
		return s.IPv6
	}
	i := slices.IndexFunc(s.servers, func(rs *rawServer) bool { return rs != nil })
	return i >= 0 && s.servers[i].Addr.Is6()
}

// collides tells whether another virtual_server has a service of this one's.
func (s *rawService) collides(r *reader, first map[lvs.ServiceKey]text.Place) bool {
	if s.head.Unclosed() || !s.Has("protocol") && s.mentions("protocol") {
		return false
	}
	return givenBefore(r, first, s.Keys, s.head.All())
}

func givenBefore(r *reader, first map[lvs.ServiceKey]text.Place, keys []lvs.ServiceKey, at text.Place) bool {
	return slices.ContainsFunc(keys, func(key lvs.ServiceKey) bool {
		return !unique(r, first, key, at, func() string { return fmt.Sprintf("virtual_server %s is given twice", key) })
	})
}

// sayProtocol warns where none is given: it is UDP then, which surprises enough
// people to say so. A mark has none.
func (s *rawService) sayProtocol(r *reader) {
	switch {
	case s.mark != 0 && s.Has("protocol"):
		r.warnAt(s.PlaceOf("protocol"), "no-effect", "a service by mark has no protocol: it is ignored", "take it out")
	case !s.byMark() && !s.Has("protocol") && !s.mentions("protocol"):
		r.warnAt(s.head.Place(), "protocol-default", s.head.Title()+" has no protocol: it serves UDP",
			`write "protocol UDP" (or TCP) to say which you mean`)
	}
}

// byMark tells whether all the services are by mark.
func (s *rawService) byMark() bool {
	return !slices.ContainsFunc(s.Keys, func(k lvs.ServiceKey) bool { return k.Mark == 0 })
}

// sayDefaults says which scheduler and forward method are meant where none is
// named.
func (s *rawService) sayDefaults(r *reader) {
	if !s.mentions("lb_algo", "lvs_sched") {
		r.warnAt(s.head.Place(), "scheduler-default", s.head.Title()+" has no lb_algo: it is scheduled by wlc",
			`write "lb_algo wlc" (or another) to say which you mean`)
	}
	if !s.mentions("lb_kind", "lvs_method") {
		r.warnAt(s.head.Place(), "method-default", s.head.Title()+" has no lb_kind: it is forwarded by NAT",
			`write "lb_kind NAT" (or DR) to say which you mean`)
	}
	if s.OnePacket && s.mark == 0 && s.Protocol != lvs.UDP {
		s.OnePacket = false
		r.warnAt(s.PlaceOf("ops"), "no-effect", "ops has no effect with TCP: only UDP is scheduled by the packet", "take it out, or write protocol UDP")
	}
}

// resolvePersistence turns on what is implied: a granularity, and the port 0,
// make a service persistent.
func (s *rawService) resolvePersistence(r *reader) {
	s.checkGranularity(r)
	if s.PersistenceTimeout != 0 {
		return
	}
	if s.Has("persistence_granularity") {
		s.PersistenceTimeout = defaultPersistence
	}
	for _, key := range s.Keys {
		if key.Mark == 0 && key.Port == 0 && s.PersistenceTimeout == 0 && !s.mentions("persistence_timeout") {
			s.PersistenceTimeout = defaultPersistence
			r.warnAt(s.head.All(), "port-zero", s.head.Title()+" serves all ports: it is persistent, for 360 s",
				`write "persistence_timeout 360" (or another time) to say which you mean`)
		}
	}
}

// checkGranularity holds the granularity to the service's family: keepalived takes 24 for
// the mask 0.0.0.24 of IPv4.
func (s *rawService) checkGranularity(r *reader) {
	if mask := s.PersistenceGranularity; s.Has("persistence_granularity") && s.address.IsValid() && mask.Is4() != s.address.Is4() {
		hint := "expected a netmask such as 255.255.255.0"
		if s.address.Is6() {
			hint = "expected a prefix length from 1 to 128"
		}
		r.errorAt(s.PlaceOf("persistence_granularity"), fmt.Sprintf("persistence_granularity is not one for %s", s.address), hint)
	}
}

// checkSorry holds the sorry server to the service's family, and warns of what is
// said of none.
func (s *rawService) checkSorry(r *reader) {
	a := s.SorryServer.Addr()
	if a.IsValid() && !slices.ContainsFunc(s.Keys, func(k lvs.ServiceKey) bool { return k.Addr.Is4() == a.Is4() }) {
		r.errorAt(s.PlaceOf("sorry_server"), fmt.Sprintf("%s is not of the address family of its virtual_server", a), "expected an address of the same family")
	}
	for _, keyword := range []string{"sorry_server_inhibit", "sorry_server_lvs_method"} {
		if s.Has(keyword) && !s.mentions("sorry_server") {
			r.warnAt(s.PlaceOf(keyword), "no-effect", keyword+" has no effect without sorry_server", "take it out, or write sorry_server IP PORT")
		}
	}
	if a.IsValid() && !s.Has("sorry_server_lvs_method") {
		s.SorryMethod, s.SorryTunnel = s.Method, s.Tunnel
	}
	s.forceSorryPort(r)
	if s.HASuspend && slices.ContainsFunc(s.Keys, func(k lvs.ServiceKey) bool { return k.Mark != 0 }) {
		s.HASuspend = false
		r.warnAt(s.PlaceOf("ha_suspend"), "no-effect", "ha_suspend has no effect with a mark, which is no address", "take it out")
	}
	if s.Has("ip_family") && s.address.IsValid() && s.IPv6 != s.address.Is6() {
		r.errorAt(s.PlaceOf("ip_family"), fmt.Sprintf("ip_family is not that of %s", s.address), "take it out")
	}
}

// forceSorryPort settles the sorry server's port, which only NAT changes.
func (s *rawService) forceSorryPort(r *reader) {
	given := s.SorryServer.Port()
	port, single := s.onePort()
	if !s.SorryServer.IsValid() || s.SorryMethod == lvs.Masquerade || given == port || !single && !s.byMark() {
		return
	}
	s.SorryServer = netip.AddrPortFrom(s.SorryServer.Addr(), port)
	if given != 0 {
		r.warnAt(s.PlaceOf("sorry_server"), "dr-port", fmt.Sprintf("sorry_server port %d is read as %d: direct routing changes no port", given, port), fmt.Sprintf("write %d", port))
	}
}

// resolveServers fills in the real servers; one given twice counts once.
func (s *rawService) resolveServers(r *reader) []RealServer {
	first := make(map[netip.AddrPort]text.Place, len(s.servers))
	servers := make([]RealServer, 0, len(s.servers))
	for _, raw := range s.servers {
		if raw == nil {
			continue
		}
		raw.inherit(s)
		if !raw.fits(r, s) || !raw.ordered(r) {
			continue
		}
		checked := raw.forcePort(r, s)
		at := netip.AddrPortFrom(raw.Addr, raw.Port)
		if before, taken := first[at]; taken && !raw.head.Unclosed() {
			r.warnAt(raw.head.All(), "listed-twice", raw.head.Title()+" is given twice: the first one counts",
				"take one of them out", "first given at "+before.String())
			continue
		}
		first[at] = raw.head.Place()
		raw.Checks = slices.Grow(raw.Checks, len(raw.checks))
		for _, c := range raw.checks {
			c.resolve(r, raw, checked)
			raw.Checks = append(raw.Checks, c.Check)
		}
		raw.RealServer.Timers = raw.ownTimers()
		servers = append(servers, raw.RealServer)
	}
	return servers
}

// ownTimers are those of a check that says nothing of itself.
func (s *rawServer) ownTimers() Timers {
	t := checkTimers(CheckTCP)
	t.inherit(saysNothing{}, s, s.timers)
	if !s.Has("warmup") {
		t.Warmup = t.DelayLoop
	}
	return t
}

// fits tells whether a service of the server's family is there, which only
// tunnels can do without.
func (raw *rawServer) fits(r *reader, s *rawService) bool {
	if raw.Method == lvs.Tunnel || slices.ContainsFunc(s.Keys, func(k lvs.ServiceKey) bool { return k.Addr.Is4() == raw.Addr.Is4() }) {
		return true
	}
	r.errorAt(raw.head.Words[1].Place, fmt.Sprintf("%s is not of the address family of its virtual_server", raw.Addr), "NAT and direct routing need the same family on both sides")
	return false
}

// ordered tells whether the lower threshold is not above the upper one, which the kernel
// refuses (ERANGE), also where the upper one is none (ip_vs_add_dest,
// net/netfilter/ipvs/ip_vs_ctl.c).
func (raw *rawServer) ordered(r *reader) bool {
	if raw.Lower <= raw.Upper {
		return true
	}
	what, hint := fmt.Sprintf("lthreshold %d is above uthreshold %d", raw.Lower, raw.Upper), fmt.Sprintf("expected 0 to %d", raw.Upper)
	if raw.Upper == 0 {
		what, hint = fmt.Sprintf("lthreshold %d has no uthreshold", raw.Lower), "write uthreshold, or take it out"
	}
	r.errorAt(raw.PlaceOf("lthreshold"), what, hint)
	return false
}

// inherit takes what virtual_server says for all its servers.
func (raw *rawServer) inherit(s *rawService) {
	pass(raw, s, "weight", &raw.Weight, s.Weight)
	if !raw.Has("lvs_method") {
		raw.Tunnel = s.Tunnel
	}
	from(raw, s, "lvs_method", "lb_kind", &raw.Method, s.Method)
	pass(raw, s, "inhibit_on_failure", &raw.InhibitOnFailure, s.InhibitOnFailure)
	pass(raw, s, "virtualhost", &raw.VirtualHost, s.VirtualHost)
	raw.timers.inherit(raw, s, s.timers)
}

// port is the one that all the services have; single is false where they have
// several, or a mark.
func (s *rawService) onePort() (port uint16, single bool) {
	for _, k := range s.Keys {
		if k.Mark != 0 || k.Port != s.Keys[0].Port {
			return 0, false
		}
	}
	return s.Keys[0].Port, true
}

// forcePort settles the real server's port, which only NAT changes: it is 0
// where packets keep one of several. It returns the port that is checked: the one that is
// given, if any.
func (raw *rawServer) forcePort(r *reader, s *rawService) uint16 {
	port, single := s.onePort()
	given := raw.Port
	if given == port || given != 0 && raw.Method == lvs.Masquerade {
		return given
	}
	raw.Port = port
	switch {
	case given == 0:
		return port
	case single && port != 0:
		r.warnAt(raw.head.Words[2].Place, "dr-port", fmt.Sprintf("real_server port %d is read as %d: direct routing changes no port", given, port),
			fmt.Sprintf("write %d; checks go to %d unless connect_port says otherwise", port, given))
		return given
	}
	r.warnAt(raw.head.Words[2].Place, "dr-port", fmt.Sprintf("real_server port %d is only checked: direct routing changes no port", given),
		"take it out; connect_port says which port is checked")
	return given
}

// sayFlags tells flags of another scheduler.
func (s *rawService) sayFlags(r *reader) {
	for flag, scheduler := range map[string]lvs.Scheduler{"sh-port": lvs.SourceHash, "sh-fallback": lvs.SourceHash, "mh-port": lvs.MaglevHash, "mh-fallback": lvs.MaglevHash} {
		if at, ok := s.flags[flag]; ok && s.Scheduler != scheduler {
			r.warnAt(at, "flag-scheduler", fmt.Sprintf("%s is a flag of the scheduler %s, not of %s", flag, scheduler, s.Scheduler), "take it out")
		}
	}
	if at := s.PlaceOf("hashed"); s.Hashed && s.Scheduler != lvs.SourceHash {
		r.warnAt(at, "flag-scheduler", "hashed is a flag of the scheduler sh", "take it out")
	}
}

// resolveQuorum settles the quorum, which may be no more than what the servers weigh.
func (s *rawService) resolveQuorum(r *reader) {
	sum := 0
	for _, rs := range s.RealServers {
		sum += rs.Weight
	}
	if s.Quorum > sum && len(s.RealServers) > 0 {
		at := s.head.All()
		if s.Has("quorum") {
			at = s.PlaceOf("quorum")
		}
		r.warnAt(at, "quorum-weight", fmt.Sprintf("quorum %d is more than the servers weigh: it is read as %d", s.Quorum, sum), fmt.Sprintf("expected at most %d", sum))
		s.Quorum = sum
	}
	if s.Hysteresis > 0 && s.Hysteresis >= s.Quorum {
		r.warnAt(s.PlaceOf("hysteresis"), "hysteresis", fmt.Sprintf("hysteresis %d is not below quorum %d: it is read as 0", s.Hysteresis, s.Quorum), "expected less than quorum")
		s.Hysteresis = 0
	}
}

// resolveFiles gives each FILE_CHECK what its track_file says.
func (c *rawConfig) resolveFiles() {
	files := map[string]*TrackFile{}
	for _, f := range c.files {
		files[f.Name] = f
	}
	for _, s := range c.services {
		for _, rs := range s.servers {
			if rs == nil {
				continue
			}
			for _, check := range rs.checks {
				if check.File != nil && files[check.File.TrackFile] != nil {
					check.followFile(files[check.File.TrackFile])
				}
			}
		}
	}
}
