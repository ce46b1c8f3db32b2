package conf

import (
	"fmt"
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
	v.Beyond = s.Beyond
}
