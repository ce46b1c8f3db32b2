package conf

import (
	"fmt"
	"slices"
	"strings"

	"weir/conf/text"
)

// entry is one keyword as one kind of block knows it: a line in a table.
type entry struct {
	name string
	// slot is what a second statement would overwrite; "" when the keyword
	// may stand more than once. Synonyms share a slot.
	slot string
	// first is a keyword of which the first statement counts.
	first bool
	// inner is the block the keyword opens, optional tells that it may also
	// stand without one.
	inner    *blockSpec
	optional bool
	// fixed is a keyword behind which so many values stand; one that may stand or not does not count.
	fixed bool
	count int
	// keyword is what the tree of blocks has to know of it.
	keyword text.Keyword
	// read takes a statement into the raw block it stands in.
	read func(r *reader, st *text.Statement, into any)
	// help says in a sentence what the keyword does, for the reference page.
	help string
	// expects says what its values are.
	expects string
	// fill puts the default into a new block, and initial is that default.
	fill    func(into any)
	initial any
	// otherwise is the default in words, where it is no value of its own.
	otherwise string
	// derived is the keyword whose value, as it is written, decides on the default.
	derived string
	// effect is what the keyword does in weir, and why says why nothing.
	effect effect
	why    string
	// reload is what a reload does where its value has changed, and secret one whose
	// values nobody is shown.
	reload Trait
	secret bool
	// instead is what show config writes for a secret: a value that may stand there.
	instead string
	// example are two values, the second one of which may follow by a reload; empty
	// where package conftest has the example.
	example [2]string
	// word is the value as a word, "" where no word says it; flag is that of a keyword that
	// stands alone. They are nil for keywords with grammars of their own.
	word func(into any) string
	flag func(into any) bool
	// inside is what the block is read into that stands in another at most once, and whose
	// defaults hold without it; nil for others.
	inside func(outer any) any
	// escapes is a value in which keepalived knows quotes within words and backslashes.
	escapes bool
	// yields tells that of two statements of the keyword the first one counts.
	yields func(first, second *text.Statement) bool
}

// option says what only some entries have.
type option func(*entry)

// initially is a keyword's default.
func initially[V any](v V) option { return func(e *entry) { e.initial = v } }

// begins is the default of a keyword with a grammar of its own.
func begins[T, V any](at func(*T) *V, v V) option {
	return func(e *entry) {
		e.initial = v
		e.fill = func(into any) { *at(into.(*T)) = v }
	}
}

// otherwise is a default in words: what another keyword says.
func otherwise(words string) option { return func(e *entry) { e.otherwise = words } }

// derivedFrom is a default that follows from what another keyword says.
func derivedFrom(keyword, words string) option {
	return func(e *entry) { e.derived, e.otherwise = keyword, words }
}

// value is a keyword with one value, which is stored where at says.
func value[T, V any](name string, k kind[V], at func(*T) *V, help string, options ...option) *entry {
	e := &entry{name: name, slot: name, help: help, expects: k.expects, fixed: true, count: 1}
	for _, o := range options {
		o(e)
	}
	e.read = func(r *reader, st *text.Statement, into any) {
		if v, ok := one(r, st, k); ok {
			*at(into.(*T)) = v
			note(into, e.slot, st.Words[1].Place)
			if !e.escapes {
				r.sayQuotes(st, 1)
			}
		}
	}
	if e.initial != nil {
		e.fill = func(into any) { *at(into.(*T)) = e.initial.(V) }
	}
	e.word = func(into any) string { return wordOf(k, *at(into.(*T))) }
	return e
}

// firstCounts is a keyword of which the first statement counts.
func firstCounts() option { return func(e *entry) { e.first = true } }

// withEscapes is a keyword in whose value keepalived knows quotes and backslashes.
func withEscapes() option { return func(e *entry) { e.escapes = true } }

// inSlot has a keyword overwrite what another one says.
func inSlot(slot string) option { return func(e *entry) { e.slot = slot } }

// onOff is a keyword that stands alone, or with a yes or no.
func onOff[T any](name string, at func(*T) *bool, help string, options ...option) *entry {
	return optional(name, boolean(), true, at, help, options...)
}

// note remembers where a block was given a keyword.
func note(into any, keyword string, at text.Place) {
	if keyword == "" {
		return
	}
	into.(interface{ note(string, text.Place) }).note(keyword, at)
}

// fill puts the defaults of a block's keywords into it, once.
func (s *blockSpec) fill(into any) {
	if g, ok := into.(interface{ fresh(*blockSpec) bool }); !ok || !g.fresh(s) {
		return
	}
	for _, e := range s.entries {
		if e.fill != nil {
			e.fill(into)
		}
	}
}

// blockSpec is one kind of block: its name (none for the whole file) and its table of keywords, or how
// to read its lines where they have no keywords.
type blockSpec struct {
	name    string
	entries []*entry
	byName  map[string]*entry
	// root is the table of what stands outside any block.
	root *blockSpec
	// line reads one line of a block without keywords (a list of addresses),
	// and expects says what such a line holds.
	line    func(r *reader, st *text.Statement, into any)
	expects string
	// words tells which words, other than addresses, may begin a line; nil is none that
	// could be told from others.
	words func(word string) bool
	// done looks at the whole block, for what is missing in it.
	done func(r *reader, b *text.Block, into any)
}

// language is the whole of keepalived.conf as weir knows it.
type language struct {
	root *blockSpec
	// homes are the blocks in which a keyword may stand.
	homes map[string][]*blockSpec
	// names are all keywords, sorted.
	names []string
}

// newLanguage is the language of a table for what stands outside any block.
func newLanguage(root *blockSpec) *language {
	l := &language{root: root, homes: map[string][]*blockSpec{}}
	l.index(l.root, map[*blockSpec]bool{})
	for name := range l.homes {
		l.names = append(l.names, name)
	}
	slices.Sort(l.names)
	return l
}

// index fills the look-ups of a block and of those inside it.
func (l *language) index(s *blockSpec, seen map[*blockSpec]bool) {
	if seen[s] {
		return
	}
	seen[s] = true
	s.root = l.root
	s.byName = make(map[string]*entry, len(s.entries))
	for _, e := range s.entries {
		if s.byName[e.name] != nil {
			continue
		}
		s.byName[e.name] = e
		if e.keyword = (text.Keyword{Optional: e.optional, Fixed: e.fixed, Values: e.count, Row: e}); e.inner != nil {
			e.keyword.Inner = e.inner
		}
		l.homes[e.name] = append(l.homes[e.name], s)
		if e.inner != nil {
			l.index(e.inner, seen)
		}
	}
}

// elsewhere is the word of another block that a word is so near to that it was meant, ""
// where none is.
func (l *language) elsewhere(word string) string {
	near := text.Nearest(word, l.names)
	if len(word) < 5 || near == "" || text.Distance(word, near, len(word)) > len(word)/4 {
		return ""
	}
	return near
}

// maxHomes is how many blocks a message lists for a keyword.
const maxHomes = 3

// home says where a keyword belongs: "in TCP_CHECK or real_server".
func (l *language) home(keyword string) string {
	var names []string
	for _, s := range l.homes[keyword] {
		if s == l.root {
			return s.where()
		}
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case len(names) > maxHomes:
		return "in " + strings.Join(names[:maxHomes], ", ") + " and others"
	}
	return "in " + either(names)
}

// where names the block as a place in a sentence.
func (s *blockSpec) where() string {
	if s.name == "" {
		return "outside any block"
	}
	return "in " + s.name
}

// either joins words as a sentence does: "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// optional is a keyword whose value may be left out, which bare stands for then.
func optional[T, V any](name string, k kind[V], bare V, at func(*T) *V, help string, options ...option) *entry {
	e := value(name, k, at, help, options...)
	e.expects, e.count = "["+e.expects+"]", 0
	read := e.read
	e.read = func(r *reader, st *text.Statement, into any) {
		if len(st.Words) > 1 {
			read(r, st, into)
			return
		}
		*at(into.(*T)) = bare
		note(into, e.slot, st.Place())
	}
	return e
}

// present is a keyword that only stands alone.
func present[T any](name string, at func(*T) *bool, help string, options ...option) *entry {
	e := custom(name, "", help, func(r *reader, st *text.Statement, into *T) bool {
		*at(into) = true
		return r.alone(st)
	}, options...)
	e.fixed, e.flag = true, func(into any) bool { return *at(into.(*T)) }
	return e
}

// alone wants nothing behind a keyword. keepalived does not look at what stands there:
// a yes means what is read, and a no the opposite.
func (r *reader) alone(st *text.Statement) bool {
	if len(st.Words) == 1 {
		return true
	}
	at := st.Words[1]
	switch strings.ToLower(at.Text) {
	case "1", "on", "true", "yes":
		if len(st.Words) == 2 {
			r.warnAt(at.Place, "value-ignored", fmt.Sprintf("%s takes no value: %s is ignored", st.Keyword(), text.Quote(at.Text)), "take it out")
			return true
		}
	case "0", "off", "false", "no":
		r.errorAt(at.Place, fmt.Sprintf("%s takes no value: with %s it is still on", st.Keyword(), text.Quote(at.Text)), "take the line out to have it off")
		return false
	}
	r.extra(st, 1)
	return false
}

// custom is a keyword with a grammar of its own. read tells whether it could be
// read; where not, the block stays as it was.
func custom[T any](name, expects, help string, read func(r *reader, st *text.Statement, into *T) bool, options ...option) *entry {
	e := &entry{name: name, slot: name, help: help, expects: expects}
	for _, o := range options {
		o(e)
	}
	e.read = func(r *reader, st *text.Statement, into any) {
		to := into.(*T)
		before := *to
		if !read(r, st, to) {
			*to = before
			return
		}
		note(into, e.slot, st.Place())
	}
	return e
}

// many is a keyword with one or more values.
func many[T, V any](name string, k kind[V], at func(*T) *[]V, help string, options ...option) *entry {
	return custom(name, k.expects+" ...", help, func(r *reader, st *text.Statement, into *T) bool {
		values, ok := rest(r, st, 1, k)
		*at(into) = append(*at(into), values...)
		return ok
	}, options...)
}

// rest reads all words from one on, of which there must be one.
func rest[V any](r *reader, st *text.Statement, from int, k kind[V]) (values []V, ok bool) {
	if len(st.Words) <= from {
		r.errorAt(st.Place(), st.Keyword()+" lacks its value", "expected "+k.expects)
		return nil, false
	}
	for i := from; i < len(st.Words); i++ {
		v, ok := word(r, st, i, k)
		if !ok {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// repeatable lets a keyword stand more than once.
func repeatable(e *entry) *entry {
	e.slot = ""
	return e
}

// section is a keyword that opens a block. head makes the raw block from the
// words on the keyword's line. Where it is nil, head has said why; the block is read
// all the same, for its own mistakes, and left out.
func section[T, C any](name string, inner *blockSpec, help string, head func(r *reader, st *text.Statement, parent *T) *C) *entry {
	return &entry{name: name, inner: inner, help: help, read: func(r *reader, st *text.Statement, into any) {
		child := head(r, st, into.(*T))
		if child == nil {
			if child = new(C); st.Block != nil {
				st.Block.Unsure = true // of what it lacks, nothing is said
			}
			if b, ok := any(child).(interface{ begin(*text.Statement) }); ok {
				b.begin(st)
			}
		}
		inner.fill(child)
		if st.Block != nil {
			r.block(inner, st.Block, child)
		}
	}}
}

// always marks a block whose defaults hold where it does not stand, too; at is what it is
// read into.
func always[T, C any](e *entry, at func(*T) *C) *entry {
	e.inside = func(outer any) any { return at(outer.(*T)) }
	return e
}

// plain is the head of a block that has no words after its keyword.
func plain[T, C any](at func(*T) *C) func(*reader, *text.Statement, *T) *C {
	return func(r *reader, st *text.Statement, parent *T) *C {
		if len(st.Words) > 1 {
			r.extra(st, 1)
		}
		return at(parent)
	}
}

// list is the spec of a block without keywords.
func list[T any](name, expects string, line func(r *reader, st *text.Statement, into *T)) *blockSpec {
	return &blockSpec{name: name, expects: expects, line: func(r *reader, st *text.Statement, into any) {
		line(r, st, into.(*T))
	}}
}

// obsolete gives an entry an old name, which a warning tells.
func obsolete(name string, e *entry) *entry { return synonym(name, e).warns(e.name) }

// warns has a keyword tell that it is obsolete, and what to write instead.
func (e *entry) warns(instead string) *entry {
	read := e.read
	e.read = func(r *reader, st *text.Statement, into any) {
		hint := "take it out"
		if instead != "" {
			hint = "write " + instead
		}
		r.warnAt(st.Place(), "obsolete", st.Keyword()+" is a word of old versions", hint)
		read(r, st, into)
	}
	return e
}

// synonym gives an entry a further name.
func synonym(name string, e *entry) *entry {
	other := *e
	other.name = name
	return &other
}
