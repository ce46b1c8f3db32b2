package conf

import (
	"slices"

	"weir/conf/text"
	"weir/lvs"
)

// Rules are what IPVS leaves to the sysctls of net.ipv4.vs, by their names.
type Rules struct {
	ReuseMode               int  `json:"conn_reuse_mode"`
	ExpireNoDest            bool `json:"expire_nodest_conn"`
	ExpireQuiescentTemplate bool `json:"expire_quiescent_template"`
	SloppyTCP               bool `json:"sloppy_tcp"`
}

// rawRules is a service of the weir block as it is written: the Rules of a
// virtual_server.
type rawRules struct {
	given
	Rules
	Beyond
	tiers   []rawTier
	service rawService
	head    *text.Statement
}

// rulesBlock is the table of service in the weir block.
func rulesBlock() *blockSpec {
	return &blockSpec{name: "service", entries: append(ruleEntries(func(s *rawRules) *Rules { return &s.Rules }), beyondEntries()...)}
}

// ruleEntries are the keywords of Rules, for every service and for one.
func ruleEntries[T any](at func(*T) *Rules) []*entry {
	return []*entry{
		value("conn_reuse_mode", number(0, 3), func(t *T) *int { return &at(t).ReuseMode },
			"what a client's port means that is used again: 0 it stays with its server, 1 it is scheduled anew after the old connection has ended, 2 after a FIN, too", initially(1), example("1", "0")),
		value("expire_nodest_conn", bit(), func(t *T) *bool { return &at(t).ExpireNoDest },
			"connections of a server that is removed end at once: UDP is scheduled anew, TCP is reset", initially(false), example("0", "1")),
		value("expire_quiescent_template", bit(), func(t *T) *bool { return &at(t).ExpireQuiescentTemplate },
			"persistence ends with a server of weight 0", initially(false), example("0", "1")),
		value("sloppy_tcp", bit(), func(t *T) *bool { return &at(t).SloppyTCP },
			"any TCP packet but a reset may begin a connection", initially(false), example("0", "1")),
	}
}

// bit is a yes or no as sysctls have it, or as keepalived does.
func bit() kind[bool] {
	words := boolean()
	return kind[bool]{"0 or 1", func(word string) (bool, *complaint) {
		if word == "0" || word == "1" {
			return word == "1", nil
		}
		v, c := words.parse(word)
		if c != nil {
			c = complain("%s is neither 0 nor 1", text.Quote(word))
		}
		return v, c
	}}
}

// rulesHead reads which virtual_server is meant: PROTOCOL IP PORT, fwmark MARK
// or group NAME.
func rulesHead(r *reader, st *text.Statement, w *rawWeir) *rawRules {
	if r.language.root.lookup(st.Keyword()) != nil {
		return nil
	}
	s := &rawRules{head: st}
	from := 1
	if len(st.Words) > 1 && st.Words[1].Text != "fwmark" && st.Words[1].Text != "group" {
		p, ok := word(r, st, 1, protocol())
		if !ok {
			return nil
		}
		s.service.Protocol = p
		from = 2
	}
	if !r.service(st, from, &s.service) {
		return nil
	}
	w.services = append(w.services, s)
	return s
}

// resolveRules gives each service the rules of the weir block.
func (w *rawWeir) resolveRules(r *reader, services []VirtualServer) {
	for i := range services {
		services[i].Rules = w.Rules.lvs()
	}
	for _, s := range w.services {
		i := slices.IndexFunc(services, func(v VirtualServer) bool { return s.names(&v) })
		if i < 0 {
			r.errorAt(s.head.All(), "there is no virtual_server "+s.service.Name, "expected the words of one that the file has, behind its protocol")
			continue
		}
		pass(s, w, "conn_reuse_mode", &s.ReuseMode, w.ReuseMode)
		pass(s, w, "expire_nodest_conn", &s.ExpireNoDest, w.ExpireNoDest)
		pass(s, w, "expire_quiescent_template", &s.ExpireQuiescentTemplate, w.ExpireQuiescentTemplate)
		pass(s, w, "sloppy_tcp", &s.SloppyTCP, w.SloppyTCP)
		services[i].Rules = s.Rules.lvs()
		s.resolveBeyond(r, &services[i])
	}
}

// names tells whether a service of the weir block means v.
func (s *rawRules) names(v *VirtualServer) bool {
	switch {
	case s.service.Group != "":
		return v.Group == s.service.Group
	case s.service.mark != 0:
		key := v.Keys[0]
		return v.Group == "" && key.Mark == s.service.mark && (!s.service.Has("ip_family") || key.Addr.Is6() == s.service.IPv6)
	}
	return v.Group == "" && v.Keys[0] == lvs.ServiceKey{Protocol: s.service.Protocol, Addr: s.service.address, Port: s.service.port}
}

// lvs is the rules as the data plane takes them. The modes 2 and 3 are one
// (Documentation/networking/ipvs-sysctl.rst).
func (r Rules) lvs() lvs.ConnRules {
	modes := [4]lvs.ReuseMode{lvs.ReuseKeeps, lvs.ReuseSchedules, lvs.ReuseFinWait, lvs.ReuseFinWait}
	return lvs.ConnRules{
		ReuseMode: modes[r.ReuseMode], ExpireNoDest: r.ExpireNoDest,
		ExpireQuiescentTemplate: r.ExpireQuiescentTemplate, SloppyTCP: r.SloppyTCP,
	}
}
