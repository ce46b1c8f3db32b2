package conf

import (
	"math"
	"net/netip"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

// VirtualServer is a virtual_server: one service, or one for each member of its
// group, with the real servers that they share.
type VirtualServer struct {
	given
	// Name is what stands after virtual_server, such as "10.0.0.1 80".
	Name string `json:"virtual_server"`
	// Keys are the services, and Group their group's name.
	Keys     []lvs.ServiceKey `json:"keys"`
	Group    string           `json:"group"`
	Protocol lvs.Protocol     `json:"protocol"`
	// IPv6 is the family of a service by mark that has no real server to tell.
	IPv6      bool          `json:"-"`
	Scheduler lvs.Scheduler `json:"lb_algo"`
	// In IPVS sh's and mh's flags are one bit each, and so they are here.
	SHPort     bool              `json:"sh-port"`
	SHFallback bool              `json:"sh-fallback"`
	Flag3      bool              `json:"flag-3"`
	Method     lvs.ForwardMethod `json:"lb_kind"`
	Tunnel     Tunnel            `json:"tunnel"`
	// PersistenceTimeout is how long a client stays with its server; 0 is none.
	PersistenceTimeout time.Duration `json:"persistence_timeout"`
	// PersistenceGranularity is the netmask of what counts as one client; the
	// zero Addr is the whole address.
	PersistenceGranularity netip.Addr `json:"persistence_granularity"`
	PersistenceEngine      string     `json:"persistence_engine"`
	OnePacket              bool       `json:"ops"`
	Hashed                 bool       `json:"hashed"`
	HASuspend              bool       `json:"ha_suspend"`
	VirtualHost            string     `json:"virtualhost"`
	Omega                  bool       `json:"omega"`
	// The quorum is lost below Quorum less Hysteresis, and regained at Quorum
	// and Hysteresis.
	Quorum     int    `json:"quorum"`
	Hysteresis int    `json:"hysteresis"`
	QuorumUp   Script `json:"quorum_up"`
	QuorumDown Script `json:"quorum_down"`
	// SorryServer is not valid where there is none.
	SorryServer      netip.AddrPort    `json:"sorry_server"`
	SorryInhibit     bool              `json:"sorry_server_inhibit"`
	SorryMethod      lvs.ForwardMethod `json:"sorry_server_lvs_method"`
	SorryTunnel      Tunnel            `json:"sorry_server_tunnel"`
	InhibitOnFailure bool              `json:"inhibit_on_failure"`
	SMTPAlert        bool              `json:"smtp_alert"`
	SNMPName         string            `json:"snmp_name"`
	// Weight is that of real servers without one of their own.
	Weight int `json:"weight"`
	at     text.Place
	// Rules are those of the weir block for this service, and Beyond is what else it says.
	Rules       lvs.ConnRules `json:"rules"`
	Beyond      Beyond        `json:"beyond"`
	RealServers []RealServer  `json:"real_server"`
}

// At is the place of its first line, the zero Place where no file says it.
func (v *VirtualServer) At() text.Place { return v.at }

// rawService is a virtual_server as it is written.
type rawService struct {
	VirtualServer
	head    *text.Statement
	address netip.Addr
	port    uint16
	mark    uint32
	timers  Timers
	servers []*rawServer
	// flags are where sh's and mh's flags stand, by name.
	flags map[string]text.Place
	// mentions tells which keywords stand in the block, rightly or not.
	mentions func(names ...string) bool
	// part is one that has been read by itself: the rest is empty.
	part settled
	// serves is false for one that is left out.
	serves bool
}

// settled is a service that has been read by itself. It adds its virtual server to a
// list of them, unless one of first has the same key.
type settled interface {
	resolve(r *reader, first map[lvs.ServiceKey]text.Place, services []VirtualServer) []VirtualServer
}

// serviceBlock is the table of virtual_server.
func serviceBlock() *blockSpec {
	type S = rawService
	algo := value("lb_algo", scheduler(), func(s *S) *lvs.Scheduler { return &s.Scheduler },
		"how a new connection gets its real server", initially(lvs.WeightedLeastConnection))
	method := custom("lb_kind", methodWords, "how packets reach the real servers", func(r *reader, st *text.Statement, s *S) (ok bool) {
		s.Method, s.Tunnel, ok = readMethod(r, st)
		return ok
	}, begins(func(s *S) *lvs.ForwardMethod { return &s.Method }, lvs.Masquerade))
	byPort := present("sh-port", func(s *S) *bool { return &s.SHPort }, "sh and mh look at the client's port, too")
	fallback := present("sh-fallback", func(s *S) *bool { return &s.SHFallback },
		"sh and mh give a client another server where its own is full or quiesced")
	entries := []*entry{
		algo, synonym("lvs_sched", algo),
		method, synonym("lvs_method", method),
		value("protocol", protocol(), func(s *S) *lvs.Protocol { return &s.Protocol },
			"the transport protocol", initially(lvs.UDP), reloads(Anew)),
		{name: "persistence_timeout", slot: "persistence_timeout", read: readPersistence, expects: "[whole seconds from 1 to 2678400]",
			help: "how long after its last new connection a client stays with its server; 360 where no time is given", otherwise: "off"},
		value("persistence_granularity", granularity(), func(s *S) *netip.Addr { return &s.PersistenceGranularity },
			"which part of a client's address counts for persistence", otherwise("the whole address")),
		present("ops", func(s *S) *bool { return &s.OnePacket }, "schedule each UDP datagram on its own"),
		value("ip_family", family(), func(s *S) *bool { return &s.IPv6 }, "the family of a service by mark", otherwise("that of its real servers"), reloads(Anew)),
		{name: "nat_mask", slot: "nat_mask", read: readNATMask, expects: "NETMASK", help: "obsolete: no forward method needs a mask"},
		value("weight", number(1, math.MaxInt32), func(s *S) *int { return &s.Weight }, "the weight of real servers without one of their own", initially(1)),
		noted(byPort), noted(synonym("mh-port", byPort)), synonym("flag-2", byPort),
		noted(fallback), noted(synonym("mh-fallback", fallback)), synonym("flag-1", fallback),
		present("flag-3", func(s *S) *bool { return &s.Flag3 }, "the third flag of a scheduler: none has one"),
		value("quorum", number(1, math.MaxInt32), func(s *S) *int { return &s.Quorum }, "how much weight has to be up", initially(1)),
		value("hysteresis", number(0, math.MaxInt32), func(s *S) *int { return &s.Hysteresis }, "how far beyond quorum it has to go to count as lost or regained", initially(0)),
		custom("sorry_server", "IP [PORT]", "serves while the quorum is lost", func(r *reader, st *text.Statement, s *S) bool {
			addr, port, ok := serverAddrPort(r, st)
			if ok && len(st.Words) > 3 {
				r.extra(st, 3)
				return false
			}
			s.SorryServer = netip.AddrPortFrom(addr, port)
			return ok
		}),
		present("sorry_server_inhibit", func(s *S) *bool { return &s.SorryInhibit }, "keep it at weight 0 rather than take it out"),
		custom("sorry_server_lvs_method", methodWords, "how packets reach it", func(r *reader, st *text.Statement, s *S) (ok bool) {
			s.SorryMethod, s.SorryTunnel, ok = readMethod(r, st)
			return ok
		}, otherwise("lb_kind")),
		present("inhibit_on_failure", func(s *S) *bool { return &s.InhibitOnFailure }, "a server that is down gets weight 0 and stays"),
		value("virtualhost", nonEmpty("a host name"), func(s *S) *string { return &s.VirtualHost }, "the Host of HTTP checks", example("www.example.org", "example.org")),
		present("ha_suspend", func(s *S) *bool { return &s.HASuspend }, "check the real servers only while this machine has the address"),
		present("omega", func(s *S) *bool { return &s.Omega }, "run notify_down and quorum_down on stopping"),
		script("quorum_up", func(s *S) *Script { return &s.QuorumUp }, "runs when the quorum is regained"),
		script("quorum_down", func(s *S) *Script { return &s.QuorumDown }, "runs when the quorum is lost"),
		onOff("smtp_alert", func(s *S) *bool { return &s.SMTPAlert }, "mails about the quorum", otherwise("smtp_alert_checker")),
		repeatable(section("real_server", serverBlock(), "a real server", serverHead)),
	}
	timers := timerEntries(1, func(s *S) *Timers { return &s.timers })
	timers[len(timers)-1] = present("alpha", func(s *S) *bool { return &s.timers.Alpha }, alphaHelp, reloads(AtStart))
	entries = append(entries, anew(timers...)...)
	return &blockSpec{name: "virtual_server", done: serviceDone, entries: append(entries, serviceLater()...)}
}

// noted has a flag remember by which of its names it was given.
func noted(e *entry) *entry {
	e = synonym(e.name, e)
	read := e.read
	e.read = func(r *reader, st *text.Statement, into any) {
		into.(*rawService).flags[st.Keyword()] = st.Place()
		read(r, st, into)
	}
	return e
}

// serviceLater are the keywords whose features are still to come.
func serviceLater() []*entry {
	type S = rawService
	return yet(
		value("persistence_engine", oneWord("persistence engine", "sip"), func(s *S) *string { return &s.PersistenceEngine }, "what else than the address makes a client"),
		present("hashed", func(s *S) *bool { return &s.Hashed }, "a flag of the kernel's service"),
		value("snmp_name", nonEmpty("a name"), func(s *S) *string { return &s.SNMPName }, "the name that SNMP shows"),
	)
}

// defaultPersistence is IPVS's (IP_VS_PERSISTENT_TIMEOUT).
const defaultPersistence = 360 * time.Second

// readPersistence takes a time, or the default where none is given. 0, which
// old versions of keepalived took for off, is still that.
func readPersistence(r *reader, st *text.Statement, into any) {
	s := into.(*rawService)
	if len(st.Words) == 1 {
		s.PersistenceTimeout = defaultPersistence
		s.note("persistence_timeout", st.Place())
		return
	}
	d, ok := one(r, st, wholeSeconds(0, maxWhole))
	if !ok {
		return
	}
	if d == 0 {
		r.warnAt(st.Place(), "obsolete", "persistence_timeout 0 means that persistence is off", "take it out: without it persistence is off too")
		return
	}
	s.PersistenceTimeout = d
	s.note("persistence_timeout", st.Words[1].Place)
}

func readNATMask(r *reader, st *text.Statement, _ any) {
	r.warnAt(st.Place(), "obsolete", "nat_mask has no effect", "take it out: no forward method needs a mask today")
}

// serviceHead makes the service that virtual_server begins: IP [PORT], fwmark
// MARK [inet|inet6] or group NAME.
func serviceHead(r *reader, st *text.Statement) *rawService {
	s := &rawService{}
	s.begin(st)
	if !r.service(st, 1, s) {
		return nil
	}
	s.note("virtual_server", st.Place())
	s.note("keys", st.Place())
	return s
}

// begin makes the service that a statement heads.
func (s *rawService) begin(st *text.Statement) {
	s.head, s.flags, s.at = st, map[string]text.Place{}, st.All()
}

// service reads what names a service from a statement's words.
func (r *reader) service(st *text.Statement, from int, s *rawService) (ok bool) {
	s.Name = wordsOf(st.Words[from:])
	switch {
	case len(st.Words) == from:
		r.errorAt(st.Place(), st.Keyword()+" lacks its address", "expected "+st.Keyword()+" IP PORT, fwmark MARK or group NAME")
		return false
	case st.Words[from].Text == "fwmark":
		s.mark, ok = after(r, st, from, mark())
		if from += 2; ok && len(st.Words) > from && isDigits(st.Words[from].Text) {
			r.warnAt(st.Words[from].Place, "value-ignored", "a mark has no port: "+text.Shorten(st.Words[from].Text)+" is ignored", "take it out")
			from++
		}
		if ok && len(st.Words) > from {
			s.IPv6, ok = word(r, st, from, family())
			s.note("ip_family", st.Words[from].Place)
			from++
		}
	case st.Words[from].Text == "group":
		s.Group, ok = after(r, st, from, nonEmpty("the name of a virtual_server_group"))
		from += 2
	default:
		s.address, s.port, ok = addrPort(r, st, from)
		from += 2
	}
	if ok && len(st.Words) > from {
		r.extra(st, from)
		return false
	}
	return ok
}

func serviceDone(_ *reader, b *text.Block, into any) { into.(*rawService).mentions = mentionsOf(b) }
