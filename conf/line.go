package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/conf/text"
)

// codeRefuses is the kind of what weir does and keepalived does not.
const codeRefuses = "keepalived-refuses"

// Option is a word of a route or a rule, with its value.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// lineWord is a word of a line's grammar and what stands behind it; nil is
// nothing.
type lineWord struct {
	name  string
	check func(text string) *complaint
	// expects says what the value is.
	expects string
	// rest is a word that all others of the line, or up to nexthop, belong to.
	rest bool
	// may is a word that may stand before the value, such as lock.
	may string
}

// lineWordOf makes a lineWord of a kind of value.
func lineWordOf[V any](names string, k kind[V]) (list []lineWord) {
	for _, name := range strings.Fields(names) {
		list = append(list, lineWord{name: name, expects: k.expects, check: func(text string) *complaint {
			if _, c := k.parse(text); !c.fits() {
				return c
			}
			return nil
		}})
	}
	return list
}

// looksLikeAddress tells whether a word may be an address, right or wrong.
func looksLikeAddress(word string) bool { return strings.ContainsAny(word, ".:") }

// knows tells whether a line's grammar has a word.
func knows(words []lineWord, word string) bool {
	return slices.ContainsFunc(words, func(w lineWord) bool { return w.name == word })
}

// flagWords are words without a value.
func flagWords(names string) (list []lineWord) {
	for _, name := range strings.Fields(names) {
		list = append(list, lineWord{name: name})
	}
	return list
}

// lockable lets a word be followed by lock.
func lockable(list []lineWord) []lineWord {
	for i := range list {
		list[i].may = "lock"
	}
	return list
}

// encapTypes are what a route can encapsulate packets in.
var encapTypes = []string{"ip", "ip6", "mpls", "ila"}

// grammar is the words of a line. bare takes a word that is none of them, and
// tells whether it could.
type grammar struct {
	what  string
	words []lineWord
	bare  func(text string) bool
}

// read takes a line's words apart.
func (g *grammar) read(r *reader, st *text.Statement) (options []Option, ok bool) {
	for n := 0; n < len(st.Words); n++ {
		text := st.Words[n].Text
		i := slices.IndexFunc(g.words, func(w lineWord) bool { return w.name == text })
		switch {
		case i < 0 && g.bare(text):
			continue
		case i < 0:
			g.unknown(r, st.Words[n])
			return nil, false
		case g.words[i].rest:
			from := n
			for n+1 < len(st.Words) && st.Words[n+1].Text != "nexthop" {
				n++
			}
			if n == from || !slices.Contains(encapTypes, st.Words[from+1].Text) {
				r.errorAt(st.Words[min(from+1, n)].Place, text+" lacks what it encapsulates in", "expected one of "+strings.Join(encapTypes, " "))
				return nil, false
			}
			options = append(options, Option{Name: text, Value: wordsOf(st.Words[from+1 : n+1])})
			continue
		case g.words[i].check == nil:
			options = append(options, Option{Name: text})
			continue
		}
		w := g.words[i]
		o := Option{Name: text}
		if w.may != "" && n+1 < len(st.Words) && st.Words[n+1].Text == w.may {
			o.Value = w.may + " "
			n++
		}
		if n++; n >= len(st.Words) {
			r.errorAt(st.Words[n-1].Place, text+" lacks its value", "expected "+w.expects)
			return nil, false
		}
		if c := w.check(st.Words[n].Text); c != nil {
			r.errorAt(st.Words[n].Place, text+": "+c.what, cmp.Or(c.hint, "expected "+w.expects))
			return nil, false
		}
		o.Value += st.Words[n].Text
		options = append(options, o)
	}
	return options, true
}

func (g *grammar) unknown(r *reader, at text.Token) {
	var names []string
	for _, w := range g.words {
		names = append(names, w.name)
	}
	hint := "take it out"
	if near := text.Nearest(at.Text, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.errorAt(at.Place, fmt.Sprintf("unknown word %s in a %s", text.Quote(at.Text), g.what), hint)
}
