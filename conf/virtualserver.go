package conf

import (
	"fmt"
	"math"
	"net/netip"

	"weir/lvs"
)

// rawService is a virtual_server as it is written.
type rawService struct {
	head      *statement
	addr      netip.Addr
	port      uint16
	protocol  field[lvs.Protocol]
	scheduler field[lvs.Scheduler]
	method    field[lvs.ForwardMethod]
	weight    field[int]
	// What sh and mh do besides: see lvs.VirtualServer.
	shPort, shFallback field[bool]
	timers             rawTimers
	servers            []*rawServer
	// has tells which keywords stand in the block, rightly or not.
	has func(names ...string) bool
}

// serviceBlock is the table of virtual_server.
func serviceBlock() *blockSpec {
	type S = rawService
	algo := setting("lb_algo", scheduler(), func(s *S) *field[lvs.Scheduler] { return &s.scheduler })
	kind := setting("lb_kind", forwardMethod(), func(s *S) *field[lvs.ForwardMethod] { return &s.method })
	shPort := toggle("sh-port", func(s *S) *field[bool] { return &s.shPort })
	shFallback := toggle("sh-fallback", func(s *S) *field[bool] { return &s.shFallback })
	entries := []*entry{
		algo, synonym("lvs_sched", algo),
		kind, synonym("lvs_method", kind),
		setting("protocol", oneOf(choice[lvs.Protocol]{noun: "protocol", anyCase: true,
			known: []option[lvs.Protocol]{{"TCP", lvs.TCP}, {"UDP", lvs.UDP}}, notYet: []string{"SCTP"}}),
			func(s *S) *field[lvs.Protocol] { return &s.protocol }),
		{name: "persistence_timeout", slot: "persistence_timeout", read: readPersistence},
		{name: "nat_mask", slot: "nat_mask", read: func(r *reader, st *statement, _ any) {
			r.warnAt(st.place(), "obsolete", "nat_mask has no effect", "take it out: no forward method needs a mask today")
		}},
		setting("weight", number(1, math.MaxInt32), func(s *S) *field[int] { return &s.weight }),
		shPort, synonym("mh-port", shPort), synonym("flag-2", shPort),
		shFallback, synonym("mh-fallback", shFallback), synonym("flag-1", shFallback),
		section("real_server", serverBlock(), serverHead),
	}
	entries = append(entries, timerEntries(1, func(s *S) *rawTimers { return &s.timers })...)
	entries = append(entries, alphaEntry(func(s *S) *rawTimers { return &s.timers }))
	return &blockSpec{name: "virtual_server", done: serviceDone, entries: append(entries, later(`
		persistence_granularity persistence_engine ops hashed
		flag-3
		ha_suspend virtualhost omega quorum hysteresis quorum_up quorum_down
		sorry_server sorry_server_inhibit sorry_server_lvs_method
		inhibit_on_failure ip_family smtp_alert snmp_name
	`)...)}
}

// scheduler is the value of lb_algo.
func scheduler() kind[lvs.Scheduler] {
	return oneOf(choice[lvs.Scheduler]{noun: "scheduler", known: []option[lvs.Scheduler]{
		{"rr", lvs.RoundRobin}, {"wrr", lvs.WeightedRoundRobin},
		{"lc", lvs.LeastConnection}, {"wlc", lvs.WeightedLeastConnection},
		{"sed", lvs.ShortestExpectedDelay}, {"nq", lvs.NeverQueue},
		{"fo", lvs.WeightedFailover}, {"ovf", lvs.WeightedOverflow},
		{"dh", lvs.DestinationHash}, {"sh", lvs.SourceHash},
	}, notYet: []string{"lblc", "lblcr", "mh", "twos"}})
}

// forwardMethod is the value of lb_kind.
func forwardMethod() kind[lvs.ForwardMethod] {
	return oneOf(choice[lvs.ForwardMethod]{noun: "forward method", known: []option[lvs.ForwardMethod]{
		{"NAT", lvs.Masquerade}, {"DR", lvs.DirectRoute},
	}, notYet: []string{"TUN"}})
}

// readPersistence takes only 0, which keepalived once took for off.
func readPersistence(r *reader, st *statement, _ any) {
	if len(st.words) == 1 {
		r.errorAt(st.place(), "weir does not do persistence yet", "take persistence_timeout out for now")
		return
	}
	n, ok := one(r, st, number(0, int(maxWhole.Seconds())))
	switch {
	case !ok:
	case n > 0:
		r.errorAt(st.words[1].place, "persistence_timeout: weir does not do persistence yet", "take it out for now")
	default:
		r.warnAt(st.place(), "obsolete", "persistence_timeout 0 means that persistence is off", "take it out: without it persistence is off too")
	}
}

// serviceHead makes the service that virtual_server IP PORT begins.
func serviceHead(r *reader, st *statement, c *rawConfig) *rawService {
	if len(st.words) > 1 && (st.words[1].text == "fwmark" || st.words[1].text == "group") {
		r.errorAt(st.words[1].place, "weir does not do virtual_server "+st.words[1].text+" yet", "expected virtual_server IP PORT")
		return nil
	}
	addr, port, ok := addrPort(r, st)
	if !ok {
		return nil
	}
	if port == 0 {
		r.errorAt(st.all(), "weir does not yet serve all ports of an address", "expected virtual_server IP PORT")
		return nil
	}
	s := &rawService{head: st, addr: addr, port: port}
	c.services = append(c.services, s)
	return s
}

// addrPort reads IP [PORT] on the keyword's line; the port is 0 when absent.
func addrPort(r *reader, st *statement) (netip.Addr, uint16, bool) {
	if len(st.words) == 1 {
		r.errorAt(st.place(), st.keyword()+" lacks its address", "expected "+st.keyword()+" IP PORT")
		return netip.Addr{}, 0, false
	}
	addr, ok := word(r, st, 1, address())
	if !ok || len(st.words) == 2 {
		return addr, 0, ok
	}
	k := port()
	n, ok := word(r, st, 2, kind[int]{k.expects, number(0, math.MaxUint16).parse})
	if ok && len(st.words) > 3 {
		r.extra(st, 3)
		return addr, 0, false
	}
	return addr, uint16(n), ok
}

func serviceDone(_ *reader, b *block, into any) { into.(*rawService).has = b.has }

// rawServer is a real_server as it is written.
type rawServer struct {
	head   *statement
	addr   netip.Addr
	port   uint16
	weight field[int]
	upper  field[int]
	lower  field[int]
	method field[lvs.ForwardMethod]
	timers rawTimers
	checks []*rawCheck
}

// serverBlock is the table of real_server.
func serverBlock() *blockSpec {
	type S = rawServer
	entries := []*entry{
		setting("weight", number(0, math.MaxInt32), func(s *S) *field[int] { return &s.weight }),
		setting("lvs_method", forwardMethod(), func(s *S) *field[lvs.ForwardMethod] { return &s.method }),
		setting("uthreshold", number(0, math.MaxInt32), func(s *S) *field[int] { return &s.upper }),
		setting("lthreshold", number(0, math.MaxInt32), func(s *S) *field[int] { return &s.lower }),
		section("TCP_CHECK", tcpCheckBlock(), tcpCheckHead),
	}
	entries = append(entries, timerEntries(1, func(s *S) *rawTimers { return &s.timers })...)
	entries = append(entries, alphaEntry(func(s *S) *rawTimers { return &s.timers }))
	return &blockSpec{name: "real_server", entries: append(entries, later(`
		inhibit_on_failure notify_up notify_down
		virtualhost smtp_alert snmp_name
		HTTP_GET SSL_GET SMTP_CHECK DNS_CHECK MISC_CHECK PING_CHECK
		UDP_CHECK BFD_CHECK FILE_CHECK
	`)...)}
}

// serverHead makes the server that real_server IP [PORT] begins.
func serverHead(r *reader, st *statement, parent *rawService) *rawServer {
	addr, port, ok := addrPort(r, st)
	if !ok {
		// The service is not empty, only unreadable here.
		parent.servers = append(parent.servers, nil)
		return nil
	}
	if addr.Is4() != parent.addr.Is4() {
		r.errorAt(st.words[1].place, fmt.Sprintf("%s is not of the address family of its virtual_server", addr), "NAT and direct routing need the same family on both sides")
		parent.servers = append(parent.servers, nil)
		return nil
	}
	s := &rawServer{head: st, addr: addr, port: port}
	parent.servers = append(parent.servers, s)
	return s
}
