package conf

import (
	"fmt"
	"net/netip"

	"weir/conf/text"
)

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
			return a, complain("%s is no IP, and no IP:PORT", text.Quote(word))
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
