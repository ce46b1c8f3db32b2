// Package pool is what stands behind virtual servers: their real servers, the checkers
// of these and their verdicts, and from both the services that the data plane is to
// have. The director's loop alone uses it; Checks hands a checker's results to the loop.
package pool

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
)

// Pool is a virtual server and which of its real servers are in.
type Pool struct {
	// keys are its services: several where it is that of a group.
	keys    []lvs.ServiceKey
	group   string
	name    string
	members []*member
	conf    conf.VirtualServer
	quorum  quorum
	// tiers are those of spare servers that take part, as takesPart has them, and told is
	// what has changed of that, until it is told.
	tiers []bool
	told  []cluster.Event
	// services are those of Services; nil where a verdict may have changed them since.
	services []lvs.VirtualServer
	paths    paths
	// before is the pool that this one goes on from, until its checks are run for this one.
	before *Pool
}

// member is a real server: in while all its checkers say so.
type member struct {
	conf     *conf.RealServer
	server   lvs.RealServer
	checkers []*Checker
	pool     *Pool
	since    time.Time // when it came in or went out last, or was added
	rising   time.Time // when it came in last; zero where it has never been out
	tier     int       // 0 but for a spare server, see takesPart
	silence  silence
}

// New makes a pool with every server in, but those that have to pass a check first, by
// alpha.
func New(vs conf.VirtualServer) *Pool {
	p := &Pool{keys: vs.Keys, group: vs.Group, name: vs.Keys[0].String(), conf: vs}
	if vs.Group != "" {
		p.name = "group " + vs.Group
	}
	now, via, agents := time.Now(), viaChecks(vs), agentChecks(vs)
	for i := range vs.RealServers {
		rs := &vs.RealServers[i]
		m := &member{conf: rs, pool: p, since: now, server: serverOf(rs), tier: vs.Beyond.TierOf(netip.AddrPortFrom(rs.Addr, rs.Port))}
		if all := slices.Concat(ready(rs.Checks), ready(via[i]), ready(agents[i])); len(all) > 0 {
			m.checkers = make([]*Checker, len(all))
			for n, c := range all {
				m.checkers[n] = newChecker(c)
			}
		}
		p.members = append(p.members, m)
	}
	p.begin()
	return p
}

// serverOf is a real server as a configuration has it.
func serverOf(rs *conf.RealServer) lvs.RealServer {
	return lvs.RealServer{Addr: rs.Addr, Port: rs.Port, Weight: rs.Weight, Method: rs.Method, Upper: rs.Upper, Lower: rs.Lower}
}

// emptyOf is a service without its key and servers.
func emptyOf(vs conf.VirtualServer) lvs.VirtualServer {
	return lvs.VirtualServer{
		Scheduler: vs.Scheduler, SHPort: vs.SHPort, SHFallback: vs.SHFallback,
		Persistence: lvs.Persistence{Timeout: vs.PersistenceTimeout, Netmask: vs.PersistenceGranularity},
		OnePacket:   vs.OnePacket, Rules: vs.Rules,
	}
}

// is tells whether the pool is what a configuration says. Real servers that were not
// read again are the same list.
func (p *Pool) is(vs *conf.VirtualServer) bool {
	was, now := p.conf.RealServers, vs.RealServers
	same := len(was) == len(now) && (len(was) == 0 || &was[0] == &now[0])
	return same && (vs.StaysAs(&p.conf) || len(conf.CompareVirtualServer(p.head(), headOf(*vs))) == 0)
}

// head is what the configuration says of the pool but for its real servers.
func (p *Pool) head() *conf.VirtualServer { return headOf(p.conf) }

func headOf(vs conf.VirtualServer) *conf.VirtualServer {
	vs.RealServers = nil
	return &vs
}

// Left is what an earlier process left in the data plane.
type Left interface {
	// Serving lists the servers of a service; ok is false where there was no such one.
	Serving(lvs.ServiceKey) (servers []netip.AddrPort, ok bool)
}

// TakeUp goes on from what an earlier process left: servers that it had taken out
// have to pass a check first.
func (p *Pool) TakeUp(left Left) {
	for _, key := range p.keys {
		list, adopted := left.Serving(key)
		if !adopted {
			continue
		}
		serving := map[netip.AddrPort]bool{}
		for _, server := range list {
			serving[server] = true
		}
		for _, m := range p.members {
			if fits(m.server, key) && !serving[as(m.server, key).AddrPort()] {
				for _, c := range m.checkers {
					c.begin(false, false)
				}
			}
		}
	}
	p.services = nil
	p.begin()
}

// begin works out how the quorum and the tiers of spare servers are at first.
func (p *Pool) begin() {
	p.tiers = p.takesPart()
	p.quorum.up = p.weight() >= p.conf.Quorum+p.conf.Hysteresis
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

// in says whether the member gets new connections.
func (m *member) in() bool { return m.reason() == nil }

// reason is why it does not; nil where it does.
func (m *member) reason() error {
	for _, c := range m.checkers {
		if c.down != nil {
			return c.down
		}
	}
	return nil
}

// weight is what the configuration says, and what all its checks make of it.
func (m *member) weight() int { return m.times(1) }

// Services are the virtual server's, each with the servers that serve. They stay the same
// lists until a verdict changes them; the caller leaves them as they are.
func (p *Pool) Services() []lvs.VirtualServer {
	all := p.services
	if all == nil {
		all = p.laidOut()
		if _, rising := p.rampAt(time.Now()); !rising { // their weights would change by themselves
			p.services = all
		}
	}
	return all
}

// Doubted has pools that are not in force yet work their services out anew, since checks that
// they share with those in force have been doubted.
func (all Pools) Doubted() {
	for _, p := range all {
		p.services = nil
	}
}

func (p *Pool) laidOut() (all []lvs.VirtualServer) {
	empty, serving := emptyOf(p.conf), p.serving()
	for _, key := range p.keys {
		vs := empty
		vs.ServiceKey = key
		vs.RealServers = make([]lvs.RealServer, 0, len(serving))
		for _, rs := range serving {
			if fits(rs, key) {
				vs.RealServers = append(vs.RealServers, as(rs, key))
			}
		}
		all = append(all, vs)
	}
	for _, m := range p.members {
		all = append(all, m.viaServices()...)
	}
	return all
}

// Addresses calls do for the address of each service that has one.
func (p *Pool) Addresses(do func(netip.Addr)) {
	for _, key := range p.keys {
		if key.Mark == 0 {
			do(key.Addr)
		}
	}
}

// Servers calls do for each real server, and for the sorry server, in or not.
func (p *Pool) Servers(do func(lvs.RealServer)) {
	for _, m := range p.members {
		do(m.server)
	}
	if sorry, ok := p.sorry(); ok {
		do(sorry)
	}
}

// title names the pool and, where it is a group's, its services.
func (p *Pool) title() string {
	if p.group == "" {
		return p.name
	}
	var keys []string
	for _, key := range p.keys {
		keys = append(keys, key.String())
	}
	return p.name + " (" + strings.Join(keys, ", ") + ")"
}
