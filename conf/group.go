package conf

import (
	"fmt"
	"net/netip"
	"strings"

	"weir/conf/text"
	"weir/lvs"
)

// rawGroup is a virtual_server_group as it is written.
type rawGroup struct {
	head    *text.Statement
	name    string
	members []rawMember
}

// rawMember is a line of a virtual_server_group: a range of addresses with a
// port, or a mark. A mark without a family has that of the group's addresses.
type rawMember struct {
	first, last netip.Addr
	port        uint16
	mark        uint32
	family      string
	at          text.Place
}

// maxServices bounds what the groups of a file may stand for.
const maxServices = 4096

// groupBlock is the list of virtual_server_group.
func groupBlock() *blockSpec {
	spec := list("virtual_server_group", "IP [PORT], IP-IP [PORT], IP/LEN [PORT] or fwmark MARK [inet|inet6]", readMember)
	spec.words = func(word string) bool { return word == "fwmark" || looksLikeAddress(word) }
	spec.done = func(r *reader, b *text.Block, into any) {
		if len(into.(*rawGroup).members) == 0 && !b.Unsure {
			r.errorAt(b.Owner.All(), b.Owner.Title()+" has no address", "expected "+spec.expects)
		}
	}
	return spec
}

// groupHead makes the group that virtual_server_group NAME begins, among those by name.
func groupHead(r *reader, st *text.Statement, groups map[string]*rawGroup) *rawGroup {
	name, ok := one(r, st, nonEmpty("the group's name"))
	if !ok {
		return nil
	}
	if g := groups[name]; g != nil {
		r.errorAt(st.All(), st.Title()+" is given twice", "take one of them out", "first given at "+g.head.Place().String())
		return nil
	}
	g := &rawGroup{head: st, name: name}
	groups[name] = g
	return g
}

// begin makes the group that a statement heads.
func (g *rawGroup) begin(st *text.Statement) { g.head = st }

func readMember(r *reader, st *text.Statement, g *rawGroup) {
	m, ok := rawMember{at: st.All()}, false
	rest := 2
	if st.Words[0].Text == "fwmark" {
		if m.mark, ok = after(r, st, 0, mark()); ok && len(st.Words) > 2 {
			_, ok = word(r, st, 2, family())
			m.family, rest = st.Words[2].Text, 3
		}
	} else {
		if r.misplacedIn(st, "virtual_server_group") {
			g.head.Block.Unsure = true
			return
		}
		var span [2]netip.Addr
		if span, ok = word(r, st, 0, addressRange()); ok && len(st.Words) > 1 {
			n, fits := word(r, st, 1, number(0, 65535))
			m.port, ok = uint16(n), fits
		}
		m.first, m.last = span[0], span[1]
	}
	if ok && len(st.Words) > rest {
		r.extra(st, rest)
		ok = false
	}
	if !ok {
		g.head.Block.Unsure = true
		return
	}
	g.members = append(g.members, m)
}

// addressRange is one address, A-B with a whole address or the last part of one,
// or a network, all of whose addresses are meant.
func addressRange() kind[[2]netip.Addr] {
	const expects = "IP, IP-IP, IP-N or IP/LEN"
	any := address()
	return kind[[2]netip.Addr]{expects, func(word string) (span [2]netip.Addr, c *complaint) {
		if strings.Contains(word, "/") {
			p, err := netip.ParsePrefix(word)
			if err != nil {
				return span, &complaint{what: text.Quote(word) + " is not a network", hint: NetworkHint(word)}
			}
			if p.Masked() != p {
				return span, &complaint{what: text.Quote(word) + " is not the beginning of its network", hint: "write " + p.Masked().String()}
			}
			return [2]netip.Addr{p.Masked().Addr(), lastOf(p)}, nil
		}
		from, to, ranged := strings.Cut(word, "-")
		first, c := any.parse(from)
		if c != nil || !ranged {
			return [2]netip.Addr{first, first}, c
		}
		last, c := any.parse(to)
		if c != nil {
			last, c = any.parse(lastPart(first, to))
		}
		switch {
		case c != nil || last.Is4() != first.Is4():
			return span, complain("%s is not a range of addresses", text.Quote(word))
		case last.Less(first):
			return span, complain("%s ends before it begins", text.Quote(word))
		}
		return [2]netip.Addr{first, last}, nil
	}}
}

// lastPart is an address with its last number, or group of hexadecimal digits,
// replaced.
func lastPart(a netip.Addr, part string) string {
	word := a.String()
	i := strings.LastIndexAny(word, ".:")
	return word[:i+1] + part
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// keys are the services that a group stands for, in the order of its lines.
func (g *rawGroup) keys(r *reader, p lvs.Protocol) (keys []lvs.ServiceKey, ok bool) {
	ipv6, ok := g.family(r)
	if !ok {
		return nil, false
	}
	for _, m := range g.members {
		if m.mark != 0 {
			keys = append(keys, lvs.MarkKey(m.mark, m.family == "inet6" || m.family == "" && ipv6))
			continue
		}
		for a := m.first; ; a = a.Next() {
			if len(keys) == maxServices {
				r.errorAt(m.at, fmt.Sprintf("%s stands for more than %d services", g.head.Title(), maxServices), "write fewer addresses, or one mark for all (see mark in the weir block)")
				return nil, false
			}
			keys = append(keys, lvs.ServiceKey{Protocol: p, Addr: a, Port: m.port})
			if a == m.last {
				break
			}
		}
	}
	return keys, true
}

// family is that of the group's addresses. With addresses of both, a mark has to
// say its own.
func (g *rawGroup) family(r *reader) (ipv6, ok bool) {
	var families [2]bool
	for _, m := range g.members {
		if m.mark == 0 && m.first.Is4() {
			families[0] = true
		} else if m.mark == 0 {
			families[1] = true
		}
	}
	for _, m := range g.members {
		if m.mark != 0 && m.family == "" && families[0] && families[1] {
			r.errorAt(m.at, "a mark beside addresses of both families", "expected fwmark MARK inet, or inet6")
			return false, false
		}
	}
	return families[1], true
}
