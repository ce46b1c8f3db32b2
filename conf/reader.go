package conf

import (
	"fmt"
	"slices"
	"strings"
)

// reader takes statements into raw blocks by the tables of keywords.
type reader struct {
	language *language
	diags    *collector
	// said are diagnostics that are given once for several places, in order.
	said  map[any]*repeat
	order []any
}

func (r *reader) errorAt(at place, message, hint string, notes ...string) {
	r.diags.errorAt(at, message, hint, notes...)
}

func (r *reader) warnAt(at place, code, message, hint string, notes ...string) {
	r.diags.warnAt(at, code, message, hint, notes...)
}

// block reads a block's statements into its raw form.
func (r *reader) block(spec *blockSpec, b *block, into any) {
	given := make([]*statement, 0, 8)
	for i, st := range b.statements {
		if r.diags.full() {
			return
		}
		switch {
		case st.broken && st.entry == nil:
			b.unsure = true
		case st.broken:
		case spec.line != nil:
			if i == maxLines {
				r.diags.stop(st.place(), spec.name+" has too many lines", fmt.Sprintf("expected at most %d", maxLines))
				return
			}
			spec.line(r, st, into)
		case st.entry == nil:
			r.unknown(spec, b, st)
		default:
			var counts bool
			if given, counts = r.again(given, st); counts {
				r.sayEffect(entryOf(st), st)
				entryOf(st).read(r, st, into)
			}
		}
	}
	if spec.done != nil {
		spec.done(r, b, into)
	}
}

// maxLines bounds the lists of a configuration.
const maxLines = 1 << 16

// again warns of a setting that is given twice: the last one counts, but of
// scripts the first. It tells whether this one does.
func (r *reader) again(given []*statement, st *statement) (now []*statement, counts bool) {
	if entryOf(st).slot == "" {
		return given, true
	}
	for i, first := range given {
		if entryOf(first).slot == entryOf(st).slot && entryOf(st).first {
			r.warnAt(st.place(), "listed-twice", st.keyword()+" is given twice: the first one counts",
				"take one of them out", "first given at "+first.place().String())
			return given, false
		}
		if entryOf(first).slot == entryOf(st).slot {
			r.warnAt(st.place(), "given-twice", st.keyword()+" is given twice: this one counts",
				"take one of them out", "first given at "+first.place().String())
			given[i] = st
			return given, true
		}
	}
	return append(given, st), true
}

// statementsOf are a block's statements of one keyword; b may be nil.
func statementsOf(b *block, keyword string) (list []*statement) {
	if b == nil {
		return nil
	}
	for _, st := range b.statements {
		if e := entryOf(st); e != nil && e.name == keyword && !st.broken {
			list = append(list, st)
		}
	}
	return list
}

// entryOf is the line of the table that a statement is read by, nil where it has none.
func entryOf(st *statement) *entry {
	if st.entry == nil {
		return nil
	}
	return st.entry.Row.(*entry)
}

// unknown is a keyword that the block does not have: one that belongs in
// another block, or none at all.
func (r *reader) unknown(spec *blockSpec, b *block, st *statement) {
	word := st.keyword()
	near := nearest(word, spec.names())
	// A letter more or less is a typing error rather than another block's word.
	if home := r.language.home(word); home != "" && (near == "" || distance(word, near, 2) > 1) {
		r.errorAt(st.place(), fmt.Sprintf("keyword %q is misplaced %s", word, spec.where()), "it belongs "+home)
		b.unsure = true
		return
	}
	hint := "not a keyword of keepalived.conf" + skipped(st)
	if near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		// What was meant is not missed as well.
		b.statements = append(b.statements, &statement{entry: spec.Lookup(near), words: st.words, broken: true})
	} else if b.unsure = true; nearest(word, r.language.names) != "" {
		near = nearest(word, r.language.names)
		hint = fmt.Sprintf("did you mean %q, which belongs %s?", near, r.language.home(near))
	}
	r.errorAt(st.place(), fmt.Sprintf("unknown keyword %q %s", shorten(word), spec.where()), hint)
}

func skipped(st *statement) string {
	if st.block != nil {
		return "; its block is skipped"
	}
	return ""
}

// names are the keywords of a block.
func (s *blockSpec) names() []string {
	names := make([]string, 0, len(s.entries))
	for _, e := range s.entries {
		names = append(names, e.name)
	}
	return names
}

// has tells whether a block gives a keyword, rightly or not. A block that
// could not be read whole is taken to have everything.
func has(b *block, names ...string) bool {
	return b.unsure || slices.ContainsFunc(b.statements, func(st *statement) bool {
		e := entryOf(st)
		return e != nil && slices.Contains(names, e.name)
	})
}

// mentionsOf is has for a block that is asked later.
func mentionsOf(b *block) func(names ...string) bool {
	return func(names ...string) bool { return has(b, names...) }
}

// require gives a diagnostic at the block's head when it lacks a keyword.
func (r *reader) require(b *block, name, hint string) {
	if !has(b, name) {
		r.errorAt(b.owner.all(), fmt.Sprintf("%s has no %s", b.owner.title(), name), hint)
	}
}

// one reads the single value of a statement.
func one[V any](r *reader, st *statement, k kind[V]) (V, bool) {
	var none V
	if len(st.words) == 1 {
		r.errorAt(st.place(), st.keyword()+" lacks its value", "expected "+k.expects)
		return none, false
	}
	v, ok := word(r, st, 1, k)
	if ok && len(st.words) > 2 {
		r.extra(st, 2)
		return none, false
	}
	return v, ok
}

// word reads one of a statement's words.
func word[V any](r *reader, st *statement, i int, k kind[V]) (V, bool) {
	v, complaint := k.parse(st.words[i].text)
	if complaint == nil {
		return v, true
	}
	if complaint.pending {
		r.pending(st.keyword()+" "+complaint.what, st.words[i].place)
		return v, true
	}
	hint := complaint.hint
	if hint == "" {
		hint = "expected " + k.expects
	}
	message := complaint.what
	if i > 0 {
		message = st.keyword() + ": " + message
	}
	r.errorAt(st.words[i].place, message, hint)
	return v, false
}

// extra is for words that nothing asks for.
func (r *reader) extra(st *statement, from int) {
	hint := "take it out, or begin a comment with #"
	at := st.words[from].place.through(st.words[len(st.words)-1].place)
	message := fmt.Sprintf("%s takes %s; %q is too much", shorten(st.keyword()), values(from-1), shorten(strings.TrimSpace(at.text())))
	r.errorAt(at, message, hint)
}

func values(n int) string {
	if n == 0 {
		return "no value"
	}
	return plural(n, "value")
}

// wordsOf is tokens as one text.
func wordsOf(tokens []token) string {
	var texts []string
	for _, t := range tokens {
		texts = append(texts, t.text)
	}
	return strings.Join(texts, " ")
}
