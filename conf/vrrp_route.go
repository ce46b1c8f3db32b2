package conf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
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
		flagWords("add append prepend inet inet6 no_track onlink nexthop"), flagWords(routeTypes),
		lineWordOf("src via gw or", inetAddress()),
		lineWordOf("from", network6()),
		lineWordOf("dev oif vrf", device()),
		lineWordOf("scope", scope()),
		lineWordOf("table realms protocol tos dsfield", name),
		lineWordOf("features", oneWord("feature", "ecn")),
		lineWordOf("metric preference priority", big),
		lockable(lineWordOf("mtu advmss hoplimit rtt rttvar reordering window cwnd ssthresh rto_min initcwnd initrwnd", nonEmpty("a number"))),
		lockable(lineWordOf("congctl", nonEmpty("the name of an algorithm"))),
		lineWordOf("quickack fastopen_no_cookie", number(0, 1)),
		lineWordOf("pref", preference()),
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

// routeTypes are what a route can be, before its destination.
const routeTypes = "unicast local broadcast brd anycast multicast blackhole unreachable prohibit throw nat xresolve"

// network6 is where packets of an IPv6 route come from.
func network6() kind[netip.Prefix] {
	n := network()
	return kind[netip.Prefix]{"an IPv6 network", func(text string) (netip.Prefix, *complaint) {
		p, c := n.parse(text)
		if c == nil && p.Addr().Is4() {
			c = complain("%s is not an IPv6 network", text)
		}
		return p, c
	}}
}

// preference is that of an IPv6 router, by name or number.
func preference() kind[string] {
	return kind[string]{"low, medium, high or a number from 0 to 255", func(word string) (string, *complaint) {
		if _, c := number(0, 255).parse(word); c == nil || word == "low" || word == "medium" || word == "high" {
			return word, nil
		}
		return "", complain("unknown preference %s", text.Quote(word))
	}}
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
	spec := list(name, expects, func(r *reader, st *text.Statement, into *T) {
		if !knows(words, st.Keyword()) && r.misplacedIn(st, name) {
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
			if !slices.Contains([]string{"default", "default6", "any", "all"}, text) && c != nil {
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
		if route.Unready() {
			r.once("route encap", text.Diagnostic{Severity: text.Note, Code: codeNotYet, Subject: "encap", Message: "a route with encap is accepted and has no effect yet"}, st.Place())
		}
		add(into, route)
		note(into, name, st.Place())
	})
	spec.words = func(word string) bool { return word == "to" || knows(words, word) }
	return spec
}

// Unready tells whether weir cannot make the route yet.
func (t *Route) Unready() bool {
	return slices.ContainsFunc(t.Options, func(o Option) bool { return o.Name == "encap" })
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
		flagWords("not inet inet6 no_track type nop l3mdev blackhole unreachable prohibit"),
		lineWordOf("from to", allOrNetwork()),
		lineWordOf("iif dev oif", device()),
		lineWordOf("tos dsfield realms ipproto track_group", name),
		lineWordOf("table lookup", ruleTable()),
		lineWordOf("fwmark", markMask()),
		lineWordOf("priority preference order", ruleNumber(math.MaxUint32)),
		lineWordOf("goto", number(0, math.MaxUint32)),
		lineWordOf("protocol", number(0, 255)),
		lineWordOf("tunnel-id", nonEmpty("a number")),
		lineWordOf("suppress_prefixlength sup_pl suppress_ifgroup sup_group", name),
		lineWordOf("uidrange", nonEmpty("A-B")),
		lineWordOf("sport dport", nonEmpty("a port, or two with - between")),
	} {
		all = append(all, part...)
	}
	return all
}

// check wants an action of a rule, and warns where it has no priority.
func (t *Rule) check(r *reader, st *text.Statement) bool {
	actions := t.all("table", "lookup", "goto", "nop", "l3mdev", "blackhole", "unreachable", "prohibit")
	priority := t.all("priority", "preference", "order")
	switch {
	case len(actions) == 0:
		r.errorAt(st.All(), "a rule without an action", "expected table TABLE, goto N, nop, blackhole, unreachable or prohibit")
		return false
	case len(actions) > 1:
		r.errorAt(st.All(), fmt.Sprintf("a rule with two actions: %s and %s", actions[0].Name, actions[1].Name), "take one of them out")
		return false
	case actions[0].Name == "goto" && (len(priority) == 0 || atoi(priority[0].Value) >= atoi(actions[0].Value)):
		r.errorAt(st.All(), "a rule goes to one that stands before it, or to itself", "expected priority N, with N less than that of goto")
		return false
	case !slices.Contains([]string{"table", "lookup", "l3mdev"}, actions[0].Name) && len(t.all("realms", "suppress_prefixlength", "sup_pl", "suppress_ifgroup", "sup_group")) > 0:
		r.errorAt(st.All(), "realms and suppress_ words belong to a rule with a table", "expected table TABLE")
		return false
	}
	if len(priority) == 0 && actions[0].Name != "l3mdev" {
		r.warnAt(st.Place(), "rule-priority", "a rule without a priority stands before all others", "write priority N")
	}
	return true
}

// all are the options with one of some names.
func (t *Rule) all(names ...string) (list []Option) {
	for _, o := range t.Options {
		if slices.Contains(names, o.Name) {
			list = append(list, o)
		}
	}
	return list
}

// atoi is a number that has been read before.
func atoi(word string) int {
	n, _ := strconv.ParseInt(word, 0, 64)
	return int(n)
}

// ruleNumber is a number up to most in any base, as C has them.
func ruleNumber(most uint64) kind[uint64] {
	return kind[uint64]{fmt.Sprintf("a number from 0 to %d", most), func(word string) (uint64, *complaint) {
		n, err := strconv.ParseUint(word, 0, 64)
		if err != nil || n > most || strings.Contains(word, "_") {
			return 0, complain("%s is not a number from 0 to %d", text.Quote(word), most)
		}
		return n, nil
	}}
}

// markMask is a firewall mark, with or without a mask behind it.
func markMask() kind[string] {
	n := ruleNumber(math.MaxUint32)
	return kind[string]{"MARK or MARK/MASK", func(word string) (string, *complaint) {
		mark, mask, masked := strings.Cut(word, "/")
		_, c := n.parse(mark)
		if c == nil && masked {
			_, c = n.parse(mask)
		}
		return word, c
	}}
}

// ruleTable is a routing table by name or number, of which 0 is none.
func ruleTable() kind[string] {
	return kind[string]{"a table's name or number", func(word string) (string, *complaint) {
		if n, err := strconv.ParseUint(word, 0, 32); word == "" || err == nil && n == 0 {
			return "", complain("%s is no table", text.Quote(word))
		}
		return word, nil
	}}
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
	spec := list(name, expects, func(r *reader, st *text.Statement, into *T) {
		if !knows(g.words, st.Keyword()) && r.misplacedIn(st, name) {
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
	spec.words = func(word string) bool { return knows(g.words, word) }
	return spec
}
