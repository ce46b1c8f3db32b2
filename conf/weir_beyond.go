package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

// beyondEntries are the keywords of Beyond, in service of the weir block.
func beyondEntries() []*entry {
	type S = rawRules
	return []*entry{
		value("slow_start", wholeSeconds(0, time.Hour), func(s *S) *time.Duration { return &s.Beyond.SlowStart },
			"how long the weight of a real server that comes in rises to what it is to be; 0 is not at all. For schedulers that share by weight: wrr, wlc, sed, nq, sh, mh, twos", initially(time.Duration(0)), example("5", "6")),
		present("check_via_vip", func(s *S) *bool { return &s.Beyond.CheckViaVIP },
			"check each real server through the virtual server's address as well, by the way of the clients' packets: by direct routing, a tunnel or NAT. For TCP, with a port"),
		present("passive", func(s *S) *bool { return &s.Beyond.Passive },
			"probe a real server at once by its checks where clients get no answer to their last three new connections to it; it is out where it fails to answer within a second. For TCP"),
		spareTier(),
		value("agent_check", port(), func(s *S) *uint16 { return &s.Beyond.Port },
			"ask an agent at this TCP port of each real server, by HAProxy's agent-check: its line says a percentage of the weight, drain, maint, ready, up, down, fail, stopped or maxconn:N. An agent that does not answer changes nothing", example("9000", "9001")),
		value("agent_inter", seconds(100*time.Millisecond, time.Hour), func(s *S) *time.Duration { return &s.Beyond.Inter },
			"how often the agents are asked, and how long they have to answer", initially(2*time.Second)),
		value("agent_addr", address(), func(s *S) *netip.Addr { return &s.Beyond.Addr },
			"the address of one agent that answers for all real servers, by agent_send", otherwise("the real server's"), example("192.0.2.5", "192.0.2.6")),
		value("agent_send", nonEmpty("a line of text"), func(s *S) *string { return &s.Beyond.Send },
			"a line that the agents are sent first; %s in it is the real server's address and port", example(`"weight of %s"`, "hello")),
	}
}

// resolveBeyond gives a virtual server what a block of the weir block says of it.
func (s *rawRules) resolveBeyond(r *reader, v *VirtualServer) {
	if s.SlowStart > 0 && !SharesByWeight(v.Scheduler) {
		r.warnAt(s.PlaceOf("slow_start"), "no-effect", fmt.Sprintf("slow_start has no effect with lb_algo %s, which does not share by weight", v.Scheduler),
			"take it out, or take wrr, wlc, sed, nq, sh, mh or twos")
	}
	if s.CheckViaVIP && !slices.ContainsFunc(v.Keys, Checkable) {
		r.warnAt(s.PlaceOf("check_via_vip"), "no-effect", "check_via_vip has no effect here: it is for TCP services with an address and a port", "take it out")
	}
	s.resolvePassive(r, v)
	s.resolveTiers(r, v)
	s.resolveAgent(r)
	v.Beyond = s.Beyond
}

// resolvePassive tells of virtual servers where nobody is probed for passive.
func (s *rawRules) resolvePassive(r *reader, v *VirtualServer) {
	tcp := func(key lvs.ServiceKey) bool { return key.Protocol == lvs.TCP || key.Mark != 0 }
	checked := func(rs RealServer) bool { return len(rs.Checks) > 0 || s.CheckViaVIP }
	switch {
	case !s.Passive:
	case !slices.ContainsFunc(v.Keys, tcp):
		r.warnAt(s.PlaceOf("passive"), "no-effect", "passive has no effect here: it is for TCP services", "take it out")
	case len(v.RealServers) > 0 && !slices.ContainsFunc(v.RealServers, checked):
		r.warnAt(s.PlaceOf("passive"), "no-effect", "passive has no effect here: no real server has a check to be probed by", "give them one, such as TCP_CHECK")
	}
}

// resolveAgent tells of words that say how agents are asked where none is.
func (s *rawRules) resolveAgent(r *reader) {
	for _, word := range []string{"agent_inter", "agent_addr", "agent_send"} {
		if s.Port == 0 && s.Has(word) {
			r.warnAt(s.PlaceOf(word), "no-effect", word+" has no effect without agent_check", "write agent_check PORT, or take it out")
		}
	}
}

const spareWords = "spare_tier N SERVER..."

// spareTier is the keyword of a tier; each further one is behind those before it.
func spareTier() *entry {
	return &entry{
		name: "spare_tier", read: readSpareTier, expects: spareWords, example: [2]string{"1 10.0.0.2", "2 10.0.0.2"},
		help: "real servers of this virtual_server, by IP or IP:PORT, that take part only while fewer than N of those that no spare_tier names are in; a further spare_tier while fewer than its N of all before it are",
	}
}

func readSpareTier(r *reader, st *text.Statement, into any) {
	s := into.(*rawRules)
	fewer, ok := after(r, st, 0, number(1, 1<<20))
	if !ok {
		return
	}
	tier := rawTier{SpareTier: SpareTier{Fewer: fewer}, head: st}
	if len(st.Words) < 3 {
		r.errorAt(st.All(), "spare_tier names no server", "expected "+spareWords)
		return
	}
	for i := 2; i < len(st.Words); i++ {
		server, ok := word(r, st, i, serverName())
		if !ok {
			return
		}
		tier.names = append(tier.names, server)
	}
	s.tiers = append(s.tiers, tier)
}

// rawTier is a spare_tier as it is written: a name with port 0 is any server of the address.
type rawTier struct {
	SpareTier
	head  *text.Statement
	names []netip.AddrPort
}

// serverName is a real server by its address, and by its port where that is not all.
func serverName() kind[netip.AddrPort] {
	return kind[netip.AddrPort]{"the IP or IP:PORT of a real_server", func(word string) (netip.AddrPort, *complaint) {
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
			return netip.AddrPortFrom(a.Unmap(), 0), nil
		}
		a, err := netip.ParseAddrPort(word)
		if err != nil || a.Addr().Zone() != "" {
			return a, &complaint{what: text.Quote(word) + " is no IP, and no IP:PORT", hint: AddressHint(word)}
		}
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
	}}
}

// resolveTiers finds the real servers that the tiers name.
func (s *rawRules) resolveTiers(r *reader, v *VirtualServer) {
	taken := map[netip.AddrPort]bool{}
	for _, tier := range s.tiers {
		for i, name := range tier.names {
			place, found := tier.head.Words[2+i].Place, false
			for _, rs := range v.RealServers {
				server := netip.AddrPortFrom(rs.Addr, rs.Port)
				if rs.Addr != name.Addr() || name.Port() != 0 && rs.Port != name.Port() {
					continue
				}
				if found = true; taken[server] {
					r.errorAt(place, fmt.Sprintf("spare_tier names %s twice", server), "expected each real server once")
					continue
				}
				taken[server] = true
				tier.Servers = append(tier.Servers, server)
			}
			if !found {
				r.errorAt(place, fmt.Sprintf("%s is no real_server of this virtual_server", tier.head.Words[2+i].Text), "expected the IP or IP:PORT of one that the virtual_server has")
			}
		}
		s.Spares = append(s.Spares, tier.SpareTier)
	}
	if len(s.tiers) > 0 && len(taken) == len(v.RealServers) && len(taken) > 0 {
		r.warnAt(s.tiers[0].head.All(), "no-effect", "every real server of this virtual_server is a spare one", "leave some out of spare_tier: those serve first")
	}
}
