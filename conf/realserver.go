package conf

import (
	"math"
	"net/netip"

	"weir/conf/text"
	"weir/lvs"
)

// RealServer is a real_server. It is up when all its checks are, and always
// when it has none.
type RealServer struct {
	given
	Addr netip.Addr `json:"address"`
	// Port is 0 where packets keep theirs.
	Port   uint16            `json:"port"`
	Weight int               `json:"weight"`
	Method lvs.ForwardMethod `json:"lvs_method"`
	// Upper and Lower are the thresholds of its connections; 0 is none.
	Upper            uint32  `json:"uthreshold"`
	Lower            uint32  `json:"lthreshold"`
	Checks           []Check `json:"checks"`
	Tunnel           Tunnel  `json:"tunnel"`
	InhibitOnFailure bool    `json:"inhibit_on_failure"`
	NotifyUp         Script  `json:"notify_up"`
	NotifyDown       Script  `json:"notify_down"`
	VirtualHost      string  `json:"virtualhost"`
	SMTPAlert        bool    `json:"smtp_alert"`
	SNMPName         string  `json:"snmp_name"`
	// Timers are those of the checks of the weir block, which stand in no block of its own.
	Timers Timers `json:"-"`
}

// rawServer is a real_server as it is written.
type rawServer struct {
	RealServer
	head   *text.Statement
	timers Timers
	checks []*rawCheck
}

// serverBlock is the table of real_server.
func serverBlock() *blockSpec {
	type S = rawServer
	threshold := number[uint32](0, math.MaxInt32)
	entries := []*entry{
		value("weight", number(0, math.MaxInt32), func(s *S) *int { return &s.Weight }, "the server's share; 0 sends it no new connections", initially(1)),
		custom("lvs_method", methodWords, "how packets reach this server", func(r *reader, st *text.Statement, s *S) (ok bool) {
			s.Method, s.Tunnel, ok = readMethod(r, st)
			return ok
		}, otherwise("lb_kind of virtual_server")),
		value("uthreshold", threshold, func(s *S) *uint32 { return &s.Upper }, "from so many connections on it gets no new ones; 0 is no limit", initially(uint32(0))),
		value("lthreshold", threshold, func(s *S) *uint32 { return &s.Lower }, "below so many connections it gets new ones again, at most uthreshold; 0 is three quarters of that", initially(uint32(0))),
	}
	entries = append(entries, onOff("inhibit_on_failure", func(s *S) *bool { return &s.InhibitOnFailure }, "when it is down it gets weight 0 and stays", otherwise("that of virtual_server"), example("on", "off")))
	entries = append(entries, checkBlocks()...)
	entries = append(entries, value("virtualhost", nonEmpty("a host name"), func(s *S) *string { return &s.VirtualHost }, "the Host of its HTTP checks", otherwise("that of virtual_server"), example("www.example.org", "example.org")))
	entries = append(entries,
		script("notify_up", func(s *S) *Script { return &s.NotifyUp }, "runs when it comes up"),
		script("notify_down", func(s *S) *Script { return &s.NotifyDown }, "runs when it goes down"),
		onOff("smtp_alert", func(s *S) *bool { return &s.SMTPAlert }, "mails when it comes or goes", otherwise("smtp_alert_checker, or on")),
	)
	entries = append(entries, yet(
		value("snmp_name", nonEmpty("a name"), func(s *S) *string { return &s.SNMPName }, "the name that SNMP shows"),
	)...)
	entries = append(entries, anew(timerEntries(1, func(s *S) *Timers { return &s.timers })...)...)
	return &blockSpec{name: "real_server", entries: entries}
}

// begin makes the server that a statement heads.
func (s *rawServer) begin(st *text.Statement) { s.head = st }

// serverRoom makes real servers, of which a file may have hundreds of thousands.
func serverRoom(r *reader) *text.Pool[rawServer] {
	servers, made := r.room.(*text.Pool[rawServer])
	if !made {
		servers = &text.Pool[rawServer]{}
		r.room = servers
	}
	return servers
}

// serverHead makes the server that real_server IP [PORT] begins.
func serverHead(r *reader, st *text.Statement, parent *rawService) *rawServer {
	s := serverRoom(r).Next()
	s.head, s.SMTPAlert = st, true
	var ok bool
	if s.Addr, s.Port, ok = serverAddrPort(r, st); !ok {
		// The service is not empty, only unreadable here.
		parent.servers = append(parent.servers, nil)
		return nil
	}
	if len(st.Words) > 3 {
		r.extra(st, 3)
		parent.servers = append(parent.servers, nil)
		return nil
	}
	s.note("address", st.Words[1].Place)
	if s.Port != 0 {
		s.note("port", st.Words[2].Place)
	}
	parent.servers = append(parent.servers, s)
	return s
}
