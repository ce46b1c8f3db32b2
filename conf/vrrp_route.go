package conf

import (
	"fmt"
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

// routeWords are the words of a route line.
func routeWords() []lineWord {
	small, big := number(0, math.MaxUint16), number(0, math.MaxUint32)
	var all []lineWord
	for _, part := range [][]lineWord{
		{{name: "encap", rest: true}},
		flagWords("add append prepend inet inet6 no_track onlink nexthop"), flagWords(routeTypes),
		lineWordOf("src via gw or", inetAddress()),
		lineWordOf("from", network6()),
		lineWordOf("dev oif vrf", device()),
		lineWordOf("scope", scope()),
		lineWordOf("table", numbered(math.MaxUint32)),
		lineWordOf("protocol tos dsfield", numbered(math.MaxUint8)),
		lineWordOf("realms", realms()),
		lineWordOf("features", oneWord("feature", "ecn")),
		lineWordOf("metric preference priority", big),
		lockable(lineWordOf("mtu advmss reordering cwnd ssthresh", ruleNumber(math.MaxUint32))),
		lockable(lineWordOf("rtt rttvar rto_min", roundTrip())),
		lineWordOf("hoplimit", ruleNumber(math.MaxUint8)),
		lineWordOf("window initcwnd initrwnd", ruleNumber(math.MaxUint32)),
		lockable(lineWordOf("congctl", nonEmpty("the name of an algorithm"))),
		lineWordOf("quickack fastopen_no_cookie", number(0, 1)),
		lineWordOf("pref", preference()),
		lineWordOf("ttl-propagate", oneWord("option", "enabled", "disabled")),
		lineWordOf("expires", big),
		lineWordOf("weight", number(1, 256)),
		lineWordOf("track_group", nonEmpty("a name")),
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
		if route.Options, ok = g.read(r, st); !ok || groupOutside(r, st, name) {
			return
		}
		if !found {
			r.errorAt(st.All(), "a route without a destination", "expected "+expects)
			return
		}
		if !route.check(r, st) {
			return
		}
		if !route.says("dev") && !route.says("oif") && !route.says("no_track") && !route.Unready() {
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

// groupOutside refuses track_group on a line of an instance: it belongs to those of the
// machine.
func groupOutside(r *reader, st *text.Statement, list string) bool {
	i := slices.IndexFunc(st.Words, func(w text.Token) bool { return w.Text == "track_group" })
	if i < 0 || strings.HasPrefix(list, "static") {
		return false
	}
	r.errorAt(st.Words[i].Place, "track_group has no meaning in "+list, "take it out: the instance's own routes and rules follow it anyway")
	return true
}

// familyOf is that of an address or a network, 0 of all of them.
func familyOf(word string) int {
	word, _, _ = strings.Cut(word, "/")
	switch a, err := netip.ParseAddr(word); {
	case word == "default6" || err == nil && a.Is6():
		return 6
	case err == nil:
		return 4
	}
	return 0
}

// otherFamily is the first word of a line that says another family than the line before it
// does, "" where none is; of is that of the destination, 0 where that says none. What belongs to
// next hops does not count.
func otherFamily(options []Option, of int, words map[string]int) string {
	for _, o := range options {
		its, says := words[o.Name]
		if o.Name == "nexthop" {
			break
		}
		if says && its == 0 {
			its = familyOf(o.Value)
		}
		if its != 0 && of != 0 && its != of {
			return o.Name
		}
		of = max(of, its)
	}
	return ""
}

// routeFamilies are the words of a route that belong to a family: 0 is that of the value.
var routeFamilies = map[string]int{"src": 0, "from": 6, "expires": 6, "pref": 6, "realms": 4}

// check holds the words of a route to one family, and tells what keepalived does not do.
func (t *Route) check(r *reader, st *text.Statement) bool {
	of := 0
	if t.To.IsValid() {
		of = familyOf(t.To.Addr().String())
	}
	if other := otherFamily(t.Options, of, routeFamilies); other != "" {
		r.errorAt(st.All(), fmt.Sprintf("a route of IPv4 and IPv6 at once: %s is of another family", other), "expected words of one family")
		return false
	}
	for _, o := range t.Options {
		if o.Name == "nexthop" {
			break
		}
		if (o.Name == "via" || o.Name == "gw") && of != 0 && (o.Value == "inet6" && of == 4 || familyOf(o.Value) != 0 && familyOf(o.Value) != of) {
			r.warnAt(st.Place(), codeRefuses, "keepalived makes no route by a gateway of another family, weir does", "write a gateway of the same family")
		}
	}
	sayUnlike(r, st, t.Options)
	return true
}

// sayUnlike warns of words that keepalived reads otherwise: it replaces the protocol of what it
// tracks by its own, which is 18, and skips the word behind a family's name.
func sayUnlike(r *reader, st *text.Statement, options []Option) {
	tracked := !slices.ContainsFunc(options, func(o Option) bool { return o.Name == "no_track" })
	for _, o := range options {
		switch {
		case o.Name == "protocol" && tracked && o.Value != "keepalived" && atoi(o.Value) != 18:
			r.warnAt(st.Place(), codeRefuses, "keepalived sets the protocol of what it tracks to keepalived, weir to "+o.Value, "write no_track, or take protocol out")
		case o.Name == "inet" || o.Name == "inet6":
			r.warnAt(st.Place(), codeRefuses, "keepalived skips the word behind "+o.Name+", weir does not", "take it out where an address says the family")
		}
	}
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
