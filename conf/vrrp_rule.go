package conf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"weir/conf/text"
)

// Rule is a line of virtual_rules or static_rules, as "ip rule" has it.
type Rule struct {
	Options []Option `json:"options"`
	Words   string   `json:"rule"`
}

// ruleWords are the words of a rule line.
func ruleWords() []lineWord {
	var all []lineWord
	for _, part := range [][]lineWord{
		flagWords("not inet inet6 no_track type nop l3mdev blackhole unreachable prohibit"),
		lineWordOf("from to", allOrNetwork()),
		lineWordOf("iif dev oif", device()),
		lineWordOf("tos dsfield ipproto", numbered(math.MaxUint8)),
		lineWordOf("realms", realms()),
		lineWordOf("track_group", nonEmpty("a name")),
		lineWordOf("table lookup", ruleTable()),
		lineWordOf("fwmark", markMask()),
		lineWordOf("priority preference order", ruleNumber(math.MaxUint32)),
		lineWordOf("goto", number(0, math.MaxUint32)),
		lineWordOf("protocol", number(0, 255)),
		lineWordOf("tunnel-id", ruleNumber(math.MaxUint64)),
		lineWordOf("suppress_prefixlength sup_pl", ruleNumber(math.MaxInt32)),
		lineWordOf("suppress_ifgroup sup_group", numbered(math.MaxInt32)),
		lineWordOf("uidrange", span(math.MaxUint32, false)),
		lineWordOf("sport dport", span(math.MaxUint16, true)),
	} {
		all = append(all, part...)
	}
	return all
}

// ruleFamilies are the words of a rule that belong to a family: 0 is that of the value.
var ruleFamilies = map[string]int{"from": 0, "to": 0, "realms": 4}

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
	if other := otherFamily(t.Options, 0, ruleFamilies); other != "" {
		r.errorAt(st.All(), fmt.Sprintf("a rule of IPv4 and IPv6 at once: %s is of another family", other), "expected words of one family")
		return false
	}
	sayUnlike(r, st, t.Options)
	for _, o := range t.all("sport", "dport") {
		if !strings.Contains(o.Value, "-") {
			r.warnAt(st.Place(), codeRefuses, fmt.Sprintf("keepalived drops %s %s, which weir reads as it is", o.Name, o.Value), fmt.Sprintf("write %s %s-%s", o.Name, o.Value, o.Value))
		}
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
	k := numbered(math.MaxUint32)
	parse := k.parse
	k.parse = func(word string) (string, *complaint) {
		if n, err := strconv.ParseUint(word, 0, 32); err == nil && n == 0 {
			return "", complain("%s is no table", text.Quote(word))
		}
		return parse(word)
	}
	return k
}

// numbered is a number up to most, or a name that stands for one in a file of iproute2.
func numbered(most uint64) kind[string] {
	n := ruleNumber(most)
	return kind[string]{fmt.Sprintf("a name, or a number from 0 to %d", most), func(word string) (string, *complaint) {
		if word == "" || strings.ContainsRune("+-0123456789", rune(word[0])) {
			_, c := n.parse(word)
			return word, c
		}
		return word, nil
	}}
}

// realms are TO or FROM/TO.
func realms() kind[string] {
	n := numbered(math.MaxUint8)
	return kind[string]{"REALM or FROM/TO", func(word string) (string, *complaint) {
		from, to, both := strings.Cut(word, "/")
		_, c := n.parse(from)
		if c == nil && both {
			_, c = n.parse(to)
		}
		return word, c
	}}
}

// span is two numbers up to most with - between, the first one not above the second. alone
// lets one stand for both.
func span(most uint64, alone bool) kind[string] {
	n := ruleNumber(most)
	expects := fmt.Sprintf("A-B, from 0 to %d", most)
	if alone {
		expects = fmt.Sprintf("a number, or A-B, from 0 to %d", most)
	}
	return kind[string]{expects, func(word string) (string, *complaint) {
		from, to, both := strings.Cut(word, "-")
		if !both && alone {
			to = from
		}
		first, c := n.parse(from)
		if c != nil {
			return "", c
		}
		last, c := n.parse(to)
		if c == nil && last < first {
			c = complain("%s ends before it begins", text.Quote(word))
		}
		return word, c
	}}
}

// roundTrip is a time with its unit, or a bare number in the metric's own unit.
func roundTrip() kind[string] {
	n := ruleNumber(math.MaxUint32)
	return kind[string]{"a whole number with ms or s behind it, or a bare one as ip route has it: of eighths (rtt), quarters (rttvar) or whole (rto_min) milliseconds", func(word string) (string, *complaint) {
		number, isMillis := strings.CutSuffix(word, "ms")
		if !isMillis {
			number = strings.TrimSuffix(word, "s")
		}
		_, c := n.parse(number)
		return word, c
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
		if rule.Options, ok = g.read(r, st); !ok || groupOutside(r, st, name) || !rule.check(r, st) {
			return
		}
		add(into, rule)
		note(into, name, st.Place())
	})
	spec.words = func(word string) bool { return knows(g.words, word) }
	return spec
}
