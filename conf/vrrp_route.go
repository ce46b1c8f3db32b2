package conf

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	"weir/conf/text"
)

// Route is a line of virtual_routes or static_routes, as "ip route" has it.
type Route struct {
	// To is the destination; the zero Prefix is the default route.
	To      netip.Prefix `json:"to"`
	Options []Option     `json:"options"`
	// Words are the line as it is written.
	Words string `json:"route"`
}

// Rule is a line of virtual_rules or static_rules, as "ip rule" has it.
type Rule struct {
	Options []Option `json:"options"`
	Words   string   `json:"rule"`
}

// routeWords are the words of a route line.
func routeWords() []lineWord {
	small, big := number(0, math.MaxUint16), number(0, math.MaxUint32)
	name := nonEmpty("a name or a number")
	var all []lineWord
	for _, part := range [][]lineWord{
		{{name: "encap", rest: true}},
		flagWords("add append prepend blackhole unreachable prohibit throw inet inet6 no_track onlink nexthop"),
		lineWordOf("src via gw or", inetAddress()),
		lineWordOf("dev oif vrf", device()),
		lineWordOf("scope", scope()),
		lineWordOf("table realms proto protocol tos dsfield features label", name),
		lineWordOf("metric preference priority", big),
		lockable(lineWordOf("mtu advmss hoplimit rtt rttvar reordering window cwnd ssthresh rto_min initcwnd initrwnd", nonEmpty("a number"))),
		lockable(lineWordOf("congctl", nonEmpty("the name of an algorithm"))),
		lineWordOf("quickack fastopen_no_cookie", number(0, 1)),
		lineWordOf("pref", oneWord("preference", "low", "medium", "high")),
		lineWordOf("ttl-propagate", oneWord("option", "enabled", "disabled")),
		lineWordOf("expires", big),
		lineWordOf("weight", number(1, 256)),
		lineWordOf("track_group", name),
		lineWordOf("id ttl", small),
	} {
		all = append(all, part...)
	}
	return all
}

// inetAddress is an address, or the family before it.
func inetAddress() kind[string] {
	a := address()
	return kind[string]{"an IP address", func(text string) (string, *complaint) {
		if text == "inet6" || text == "inet" {
			return text, nil
		}
		_, c := a.parse(strings.SplitN(text, "/", 2)[0])
		return text, c
	}}
}

// routeBlock is a list of routes.
func routeBlock[T any](name string, add func(*T, Route)) *blockSpec {
	const expects = "[to] NETWORK|default [via IP] [dev INTERFACE] and the other words of ip route"
	words := routeWords()
	return list(name, expects, func(r *reader, st *text.Statement, into *T) {
		if r.misplacedIn(st, name) {
			return
		}
		route := Route{Words: wordsOf(st.Words)}
		found := false
		bare := func(text string) bool {
			if found && text != "to" || via(route.Words, text) {
				return via(route.Words, text)
			}
			if text == "to" {
				return true
			}
			p, c := network().parse(text)
			if text != "default" && text != "default6" && c != nil {
				return false
			}
			route.To, found = p, true
			return true
		}
		g := grammar{what: "route", words: words, bare: bare}
		var ok bool
		if route.Options, ok = g.read(r, st); !ok {
			return
		}
		if !found {
			r.errorAt(st.All(), "a route without a destination", "expected "+expects)
			return
		}
		if !route.says("dev") && !route.says("oif") && !route.says("no_track") {
			r.warnAt(st.Place(), "route-untracked", "a route without a device is not watched", "write dev INTERFACE, or no_track")
		}
		add(into, route)
		note(into, name, st.Place())
	})
}

// says tells whether a route has a word outside its next hops.
func (t *Route) says(word string) bool {
	for _, o := range t.Options {
		switch o.Name {
		case "nexthop":
			return false
		case word:
			return true
		}
	}
	return false
}

// via tells whether text is the address behind "via inet6".
func via(line, text string) bool {
	return strings.Contains(line, "inet6 "+text) || strings.Contains(line, "inet "+text)
}

// ruleWords are the words of a rule line.
func ruleWords() []lineWord {
	name := nonEmpty("a name or a number")
	var all []lineWord
	for _, part := range [][]lineWord{
		flagWords("not add inet inet6 no_track nop l3mdev blackhole unreachable prohibit"),
		lineWordOf("from to", allOrNetwork()),
		lineWordOf("iif dev oif", device()),
		lineWordOf("tos dsfield fwmark priority preference order pref table lookup goto realms protocol ipproto track_group tunnel-id", name),
		lineWordOf("suppress_prefixlength sup_pl suppress_ifgroup sup_group", name),
		lineWordOf("type", oneWord("type", "blackhole", "unreachable", "prohibit", "goto", "nop", "unicast")),
		lineWordOf("uidrange", nonEmpty("A-B")),
		lineWordOf("sport dport", nonEmpty("a port, or two with - between")),
	} {
		all = append(all, part...)
	}
	return all
}

// check wants an action of a rule, and warns where it has no priority.
func (t *Rule) check(r *reader, st *text.Statement) bool {
	has := func(words ...string) bool {
		return slices.ContainsFunc(t.Options, func(o Option) bool { return slices.Contains(words, o.Name) })
	}
	if !has("table", "lookup", "goto", "nop", "l3mdev", "blackhole", "unreachable", "prohibit", "type") {
		r.errorAt(st.All(), "a rule without an action", "expected table TABLE, goto N, nop, blackhole, unreachable or prohibit")
		return false
	}
	if !has("priority", "preference", "order", "pref", "l3mdev") {
		r.warnAt(st.Place(), "rule-priority", "a rule without a priority stands before all others", "write priority N")
	}
	return true
}

func allOrNetwork() kind[string] {
	n := network()
	return kind[string]{"a network, all or default", func(text string) (string, *complaint) {
		if text == "all" || text == "any" || text == "default" {
			return text, nil
		}
		_, c := n.parse(text)
		return text, c
	}}
}

// ruleBlock is a list of rules.
func ruleBlock[T any](name string, add func(*T, Rule)) *blockSpec {
	const expects = "from NETWORK to NETWORK table TABLE and the other words of ip rule"
	g := grammar{what: "rule", words: ruleWords(), bare: func(string) bool { return false }}
	return list(name, expects, func(r *reader, st *text.Statement, into *T) {
		if r.misplacedIn(st, name) {
			return
		}
		rule := Rule{Words: wordsOf(st.Words)}
		var ok bool
		if rule.Options, ok = g.read(r, st); !ok || !rule.check(r, st) {
			return
		}
		add(into, rule)
		note(into, name, st.Place())
	})
}
