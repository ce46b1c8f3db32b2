package director

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/check"
	"weir/lvs"
)

// pool is a virtual server and which of its real servers are in.
type pool struct {
	// keys are its services: several where it is that of a group.
	keys    []lvs.ServiceKey
	name    string
	empty   lvs.VirtualServer // a service without its key and servers
	members []*member
}

// member is a real server: in while all its checks are up.
type member struct {
	server lvs.RealServer
	checks []conf.Check
	down   []error // by check; nil is up
}

// errUnchecked is why a server is out that has not passed a check yet.
type errUnchecked struct{}

func (errUnchecked) Error() string { return "not checked yet" }

// newPool begins with every server in, but those that have to pass a check
// first: by alpha, or because an earlier process had taken them out.
func newPool(vs conf.VirtualServer, plane DataPlane) *pool {
	p := &pool{keys: vs.Keys, name: vs.Keys[0].String(), empty: lvs.VirtualServer{
		Scheduler: vs.Scheduler, SHPort: vs.SHPort, SHFallback: vs.SHFallback,
		Persistence: lvs.Persistence{Timeout: vs.PersistenceTimeout, Netmask: vs.PersistenceGranularity},
		OnePacket:   vs.OnePacket, Rules: vs.Rules,
	}}
	if vs.Group != "" {
		p.name = "group " + vs.Group
	}
	for _, rs := range vs.RealServers {
		m := &member{
			server: lvs.RealServer{
				Addr: rs.Addr, Port: rs.Port, Weight: rs.Weight, Method: rs.Method, Upper: rs.Upper, Lower: rs.Lower,
			},
			checks: tcpChecks(rs.Checks),
		}
		m.down = make([]error, len(m.checks))
		wasOut := p.wasOut(m.server, plane)
		for i := range m.checks {
			if wasOut {
				m.checks[i].Alpha, m.checks[i].Warmup = true, 0
			}
			if m.checks[i].Alpha {
				m.down[i] = errUnchecked{}
			}
		}
		p.members = append(p.members, m)
	}
	return p
}

// tcpChecks are the checks that weir can do; with another one it does not run.
func tcpChecks(all []conf.Check) []conf.Check {
	return slices.DeleteFunc(slices.Clone(all), func(c conf.Check) bool { return c.Kind != conf.CheckTCP })
}

// wasOut tells whether an earlier process had a service without this server.
func (p *pool) wasOut(rs lvs.RealServer, plane DataPlane) bool {
	return slices.ContainsFunc(p.keys, func(key lvs.ServiceKey) bool {
		serving, adopted := plane.Serving(key)
		return adopted && fits(rs, key) && !slices.Contains(serving, as(rs, key).AddrPort())
	})
}

// fits tells whether a server can serve this service of a group: one of its
// address family, or any through a tunnel.
func fits(rs lvs.RealServer, key lvs.ServiceKey) bool {
	return rs.Method == lvs.Tunnel || rs.Addr.Is4() == key.Addr.Is4()
}

// as is the server in this service: only NAT changes the port.
func as(rs lvs.RealServer, key lvs.ServiceKey) lvs.RealServer {
	if rs.Method != lvs.Masquerade || rs.Port == 0 {
		rs.Port = key.Port
	}
	return rs
}

func (m *member) in() bool {
	return !slices.ContainsFunc(m.down, func(reason error) bool { return reason != nil })
}

// services are the virtual server's, each with the real servers that are in.
func (p *pool) services() (all []lvs.VirtualServer) {
	for _, key := range p.keys {
		vs := p.empty
		vs.ServiceKey = key
		for _, m := range p.members {
			if m.in() && fits(m.server, key) {
				vs.RealServers = append(vs.RealServers, as(m.server, key))
			}
		}
		all = append(all, vs)
	}
	return all
}

// runners are the checks of all servers.
func (d *Director) runners() (all []*check.Runner) {
	for _, p := range d.pools {
		for _, m := range p.members {
			for i, c := range m.checks {
				all = append(all, d.runner(p, m, i, c))
			}
		}
	}
	return all
}

func (d *Director) runner(p *pool, m *member, i int, c conf.Check) *check.Runner {
	return &check.Runner{
		Checker: check.TCP{Target: c.Connect, Bind: netip.AddrPortFrom(c.Bind, 0), Timeout: c.ConnectTimeout},
		Timing: check.Timing{
			DelayLoop: c.DelayLoop, Retry: c.Retry, DelayBeforeRetry: c.DelayBeforeRetry,
			Warmup: c.Warmup, Alpha: c.Alpha,
		},
		Report: func(r check.Result) {
			d.post(func(d *Director) func() { return d.checked(p, m, i, r) })
		},
		Log: d.log,
	}
}

// checked takes in a check's new verdict.
func (d *Director) checked(p *pool, m *member, i int, r check.Result) (then func()) {
	was := m.in()
	m.down[i] = r.Reason
	if m.in() == was {
		return nil
	}
	log := d.log.With("virtual_server", p.name, "real_server", m.server.AddrPort().String())
	if m.in() {
		return func() { log.Info("real server", "state", "up") }
	}
	return func() {
		log.Warn("real server", "state", "down", "reason", r.Reason.Error(), "tries", r.Tries)
	}
}
