package conf

import (
	"fmt"
	"net/netip"
	"time"

	"weir/lvs"
)

// The defaults of TCP_CHECK.
const (
	defaultDelayLoop        = 60 * time.Second
	defaultConnectTimeout   = 5 * time.Second
	defaultRetry            = 1
	defaultDelayBeforeRetry = time.Second
)

func resolveServices(r *reader, raw []*rawService) []VirtualServer {
	first := map[lvs.ServiceKey]place{}
	var services []VirtualServer
	for _, s := range raw {
		key := s.key(r)
		sure := !s.head.unclosed() && (s.protocol.set || !s.has("protocol"))
		if sure && !unique(r, first, key, s.head.all(), fmt.Sprintf("virtual_server %s is given twice", key)) {
			continue
		}
		s.sayDefaults(r)
		v := VirtualServer{ServiceKey: key, Scheduler: s.scheduler.value(lvs.WeightedLeastConnection), Method: s.method.value(lvs.Masquerade)}
		v.SHPort, v.SHFallback = s.shPort.v, s.shFallback.v
		v.RealServers = s.resolveServers(r)
		if len(s.servers) == 0 && !s.has("real_server") {
			r.warnAt(s.head.all(), "no-real-server", s.head.title()+" has no real_server: it is left out", "expected real_server IP PORT { }")
			continue
		}
		services = append(services, v)
	}
	return services
}

// key is what makes the service itself. Without a protocol it is UDP, which
// surprises enough people to say so.
func (s *rawService) key(r *reader) lvs.ServiceKey {
	if !s.protocol.set && !s.has("protocol") {
		r.warnAt(s.head.place(), "protocol-default", s.head.title()+" has no protocol: it serves UDP",
			`write "protocol UDP" (or TCP) to say which you mean`)
	}
	return lvs.ServiceKey{Protocol: s.protocol.value(lvs.UDP), Addr: s.addr, Port: s.port}
}

// sayDefaults says which scheduler and forward method are meant where none is
// named.
func (s *rawService) sayDefaults(r *reader) {
	if !s.has("lb_algo", "lvs_sched") {
		r.warnAt(s.head.place(), "scheduler-default", s.head.title()+" has no lb_algo: it is scheduled by wlc",
			`write "lb_algo wlc" (or another) to say which you mean`)
	}
	if !s.has("lb_kind", "lvs_method") {
		r.warnAt(s.head.place(), "method-default", s.head.title()+" has no lb_kind: it is forwarded by NAT",
			`write "lb_kind NAT" (or DR) to say which you mean`)
	}
}

// resolveServers fills in the real servers; one given twice counts once.
func (s *rawService) resolveServers(r *reader) []RealServer {
	first := map[netip.AddrPort]place{}
	var servers []RealServer
	for _, raw := range s.servers {
		if raw == nil {
			continue
		}
		at := netip.AddrPortFrom(raw.addr, raw.forcePort(r, s))
		if before, taken := first[at]; taken && !raw.head.unclosed() {
			r.warnAt(raw.head.all(), "given-twice", raw.head.title()+" is given twice: the first one counts",
				"take one of them out", "first given at "+before.String())
			continue
		}
		first[at] = raw.head.place()
		servers = append(servers, raw.resolve(s, at))
	}
	return servers
}

// forcePort is the real server's port: with direct routing a packet keeps the
// one it came with.
func (raw *rawServer) forcePort(r *reader, s *rawService) uint16 {
	if raw.port != 0 && raw.method.or(s.method).value(lvs.Masquerade) == lvs.Masquerade {
		return raw.port
	}
	if raw.port != 0 && raw.port != s.port {
		r.warnAt(raw.head.words[2].place, "dr-port", fmt.Sprintf("real_server port %d is read as %d: direct routing changes no port", raw.port, s.port),
			fmt.Sprintf("write %d", s.port))
	}
	return s.port
}

func (raw *rawServer) resolve(s *rawService, at netip.AddrPort) RealServer {
	server := RealServer{
		Addr:   at.Addr(),
		Port:   at.Port(),
		Weight: raw.weight.or(s.weight).value(1),
		Method: raw.method.or(s.method).value(lvs.Masquerade),
		Upper:  uint32(raw.upper.v),
		Lower:  uint32(raw.lower.v),
	}
	for _, c := range raw.checks {
		server.Checks = append(server.Checks, c.resolve(c.timers.or(raw.timers).or(s.timers), at))
	}
	return server
}

// resolve fills in a check's defaults: it connects to the server itself.
func (c *rawCheck) resolve(t rawTimers, server netip.AddrPort) TCPCheck {
	interval := t.delayLoop.value(defaultDelayLoop)
	return TCPCheck{
		Connect:          netip.AddrPortFrom(c.ip.value(server.Addr()), c.port.value(server.Port())),
		Bind:             c.bind.v,
		Timeout:          t.connectTimeout.value(defaultConnectTimeout),
		Retry:            t.retry.value(defaultRetry),
		DelayBeforeRetry: t.delayBeforeRetry.value(defaultDelayBeforeRetry),
		Interval:         interval,
		Warmup:           t.warmup.value(interval),
		Alpha:            t.alpha.v,
	}
}
