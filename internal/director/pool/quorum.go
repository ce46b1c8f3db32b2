package pool

import (
	"net/netip"
	"slices"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
)

// quorum is whether enough of a virtual server's real servers are in.
//
//	          their weight reaches quorum + hysteresis
//	      ┌────────────────────────────────────────────────┐
//	      │                                                ▼
//	┌─────┴────┐                                     ┌──────────┐
//	│   lost   │                                     │   held   │
//	└──────────┘                                     └─────┬────┘
//	      ▲                                                │
//	      └────────────────────────────────────────────────┘
//	       it falls below quorum - hysteresis, or to nothing
//
// (keepalived, ipwrapper.c, update_quorum_state). While it is lost the sorry server serves
// alone, where there is one.
type quorum struct {
	up    bool
	since time.Time
	// told is the last change, until it is told.
	told *cluster.Event
}

// weight is that of all members that are in and no spare servers that rest.
func (p *Pool) weight() (sum int) {
	tiers := p.takesPart()
	for _, m := range p.members {
		if m.in() && !m.rests(tiers) {
			sum += m.weight()
		}
	}
	return sum
}

// settle works out whether the quorum is held from now on.
func (p *Pool) settle() {
	p.settleTiers()
	sum, need := p.weight(), p.conf.Quorum+p.conf.Hysteresis
	if p.quorum.up {
		need = p.conf.Quorum - p.conf.Hysteresis
	}
	if up := sum > 0 && sum >= need; up != p.quorum.up {
		e := cluster.QuorumChanged(p.name, up, sum, need)
		p.quorum = quorum{up, time.Now(), &e}
	}
}

// Quorum tells of a change of the quorum by this checker's last verdict, once.
func (c *Checker) Quorum() (e *cluster.Event) {
	if c.of == nil {
		return nil
	}
	e, c.of.pool.quorum.told = c.of.pool.quorum.told, nil
	return e
}

// Quorums are the changes of quorums by a reload, each told once.
func (all Pools) Quorums() (events []cluster.Event) {
	for _, p := range all {
		if p.quorum.told != nil {
			events = append(events, *p.quorum.told)
			p.quorum.told = nil
		}
		events, p.told = append(events, p.told...), nil
	}
	return events
}

// Loss is a virtual server whose quorum is lost.
type Loss struct {
	Name string
	// Unchecked says that checks which have not been made yet may still give it.
	Unchecked bool
}

// Lost are the addresses of virtual servers whose quorums are lost, each with one of them:
// one that checks have found so, where there is any.
func (all Pools) Lost() map[netip.Addr]Loss {
	lost := map[netip.Addr]Loss{}
	for _, p := range all {
		if p.quorum.up {
			continue
		}
		loss := Loss{p.name, p.mayGain()}
		p.Addresses(func(a netip.Addr) {
			if known, is := lost[a]; !is || known.Unchecked && !loss.Unchecked {
				lost[a] = loss
			}
		})
	}
	return lost
}

// mayGain says whether the quorum would be held with the members that no check has been made
// of yet.
func (p *Pool) mayGain() bool {
	sum := p.weight()
	for _, m := range p.members {
		if _, unchecked := m.reason().(errUnchecked); unchecked {
			sum += m.weight()
		}
	}
	return sum > 0 && sum >= p.conf.Quorum+p.conf.Hysteresis
}

// sorry is the sorry server, by its own forward method; ok is false where there is none.
func (p *Pool) sorry() (rs lvs.RealServer, ok bool) {
	a := p.conf.SorryServer
	return lvs.RealServer{Addr: a.Addr(), Port: a.Port(), Weight: 1, Method: p.conf.SorryMethod}, a.IsValid()
}

// serving are the servers as the data plane has them. A server that is out stays with
// weight 0 where inhibit_on_failure says so: it gets no new connections, and keeps those
// that it has. So do spare servers that rest and, while the sorry server serves, those that are in, and with
// sorry_server_inhibit the sorry server while it does not. The table changes at one
// stroke: at no moment is it without a server that there could be.
func (p *Pool) serving() []lvs.RealServer {
	sorry, has := p.sorry()
	lost := has && !p.quorum.up
	rising, _ := p.rampAt(time.Now())
	all, trusted, tiers := make([]lvs.RealServer, 0, len(p.members)+1), p.trusted(), p.takesPart()
	for _, m := range p.members {
		resting := m.in() && m.rests(tiers)
		rs := m.server
		rs.Weight = rising.weigh(m)
		if most := uint32(m.agent().Most); most > 0 {
			rs.Upper, rs.Lower = most, min(rs.Lower, most)
		}
		if lost || !m.in() || resting || trusted && m.doubted() {
			rs.Weight = 0
		}
		if (m.in() && !lost || m.conf.InhibitOnFailure) && (!resting || p.staysIdle()) {
			all = append(all, rs)
		}
	}
	switch {
	case lost:
		// A real server may be the sorry server, too.
		all = slices.DeleteFunc(all, func(rs lvs.RealServer) bool { return rs.AddrPort() == sorry.AddrPort() })
		all = append(all, sorry)
	case has && p.conf.SorryInhibit && !slices.ContainsFunc(all, func(rs lvs.RealServer) bool { return rs.AddrPort() == sorry.AddrPort() }):
		sorry.Weight = 0
		all = append(all, sorry)
	}
	return all
}
