package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// beyondEntries are the keywords of Beyond, in service of the weir block.
func beyondEntries() []*entry {
	type S = rawRules
	return []*entry{
		value("slow_start", wholeSeconds(0, time.Hour), func(s *S) *time.Duration { return &s.Beyond.SlowStart },
			"how long the weight of a real server that comes in rises to what it is to be; 0 is not at all. For schedulers that share by weight: wrr, wlc, sed, nq, sh, mh, twos", initially(time.Duration(0)), example("5", "6")),
		present("check_via_vip", func(s *S) *bool { return &s.Beyond.CheckViaVIP },
			"check each real server through the virtual server's address as well, by the way of the clients' packets: by direct routing, a tunnel or NAT. For TCP, with a port"),
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
	s.resolveTiers(r, v)
	s.resolveAgent(r)
	v.Beyond = s.Beyond
}

// resolveAgent tells of words that say how agents are asked where none is.
func (s *rawRules) resolveAgent(r *reader) {
	for _, word := range []string{"agent_inter", "agent_addr", "agent_send"} {
		if s.Port == 0 && s.Has(word) {
			r.warnAt(s.PlaceOf(word), "no-effect", word+" has no effect without agent_check", "write agent_check PORT, or take it out")
		}
	}
}
