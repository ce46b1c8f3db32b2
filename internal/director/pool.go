package director

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"weir/conf"
	"weir/lvs"
)

// pool is a virtual server and which of its real servers are in.
type pool struct {
	// keys are its services: several where it is that of a group.
	keys    []lvs.ServiceKey
	group   string
	name    string
	empty   lvs.VirtualServer // a service without its key and servers
	members []*member
	// servers are what the configuration says of the members.
	servers []conf.RealServer
}

// member is a real server: in while all its checks are up.
type member struct {
	server lvs.RealServer
	probes []*probe
	pool   *pool
	since  time.Time // when it came in or went out last, or was added
}

// newPool begins with every server in, but those that have to pass a check
// first, by alpha.
func newPool(vs conf.VirtualServer) *pool {
	p := &pool{keys: vs.Keys, group: vs.Group, name: vs.Keys[0].String(), empty: emptyOf(vs), servers: vs.RealServers}
	if vs.Group != "" {
		p.name = "group " + vs.Group
	}
	now := time.Now()
	for _, rs := range vs.RealServers {
		m := &member{pool: p, since: now, server: lvs.RealServer{
			Addr: rs.Addr, Port: rs.Port, Weight: rs.Weight, Method: rs.Method, Upper: rs.Upper, Lower: rs.Lower,
		}}
		for _, c := range tcpChecks(rs.Checks) {
			m.probes = append(m.probes, newProbe(c))
		}
		p.members = append(p.members, m)
	}
	return p
}

func emptyOf(vs conf.VirtualServer) lvs.VirtualServer {
	return lvs.VirtualServer{
		Scheduler: vs.Scheduler, SHPort: vs.SHPort, SHFallback: vs.SHFallback,
		Persistence: lvs.Persistence{Timeout: vs.PersistenceTimeout, Netmask: vs.PersistenceGranularity},
		OnePacket:   vs.OnePacket, Rules: vs.Rules,
	}
}

// is tells whether the pool is what a configuration says. Real servers that were not
// read again are the same list.
func (p *pool) is(vs conf.VirtualServer) bool {
	same := len(p.servers) == len(vs.RealServers) && (len(p.servers) == 0 || &p.servers[0] == &vs.RealServers[0])
	return same && p.group == vs.Group && slices.Equal(p.keys, vs.Keys) && reflect.DeepEqual(p.empty, emptyOf(vs))
}

// takeUp goes on from what an earlier process left: servers that it had taken out
// have to pass a check first.
func (p *pool) takeUp(plane DataPlane) {
	for _, key := range p.keys {
		list, adopted := plane.Serving(key)
		if !adopted {
			continue
		}
		serving := map[netip.AddrPort]bool{}
		for _, server := range list {
			serving[server] = true
		}
		for _, m := range p.members {
			if fits(m.server, key) && !serving[as(m.server, key).AddrPort()] {
				for _, probe := range m.probes {
					probe.begin(false, false)
				}
			}
		}
	}
}

// tcpChecks are the checks that weir can do; with another one it does not run.
func tcpChecks(all []conf.Check) []conf.Check {
	return slices.DeleteFunc(slices.Clone(all), func(c conf.Check) bool { return c.Kind != conf.CheckTCP })
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
	return !slices.ContainsFunc(m.probes, func(p *probe) bool { return p.down != nil })
}

// services are the virtual server's, each with the real servers that are in.
func (p *pool) services() (all []lvs.VirtualServer) {
	for _, key := range p.keys {
		vs := p.empty
		vs.ServiceKey = key
		vs.RealServers = make([]lvs.RealServer, 0, len(p.members))
		for _, m := range p.members {
			if m.in() && fits(m.server, key) {
				vs.RealServers = append(vs.RealServers, as(m.server, key))
			}
		}
		all = append(all, vs)
	}
	return all
}

// addresses adds those of the pool's services to a list.
func (p *pool) addresses(list []netip.Addr) []netip.Addr {
	for _, key := range p.keys {
		if key.Mark == 0 && !slices.Contains(list, key.Addr) {
			list = append(list, key.Addr)
		}
	}
	return list
}
