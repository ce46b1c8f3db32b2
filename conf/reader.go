package conf

import (
	"fmt"
	"slices"
	"strings"

	"weir/conf/text"
)

// reader takes statements into raw blocks by the tables of keywords.
type reader struct {
	language *language
	diags    *text.Collector
	// said are diagnostics that are given once for several places, in order.
	said  map[any]*repeat
	order []any
	// root is the whole text, config what it is read into.
	root   *text.Block
	config any
	// pasted is behind a section of another program's file, outside any block.
	pasted bool
	// room is what serverRoom has made, or is to use.
	room any
	// blocks are those that were read; nil where nobody asks for them.
	blocks map[*text.Block]readBlock
}

// readBlock is what a block was read into, by the table of its kind.
type readBlock struct {
	spec *blockSpec
	into any
}

func (r *reader) errorAt(at text.Place, message, hint string, notes ...string) {
	r.diags.ErrorOf(text.KindValue, at, message, hint, notes...)
}

func (r *reader) warnAt(at text.Place, code, message, hint string, notes ...string) {
	r.diags.WarnAt(at, code, message, hint, notes...)
}

// block reads a block's statements into its raw form.
func (r *reader) block(spec *blockSpec, b *text.Block, into any) {
	if r.root == nil {
		r.root, r.config = b, into
	}
	if r.blocks != nil {
		r.blocks[b] = readBlock{spec, into}
	}
	given := make([]*text.Statement, 0, 8)
	for i, st := range b.Statements {
		if r.diags.Full() {
			return
		}
		r.diags.Now = st.All()
		switch {
		case st.Broken && st.Entry == nil:
			b.Unsure = true
		case st.Broken:
		case spec.line != nil:
			if i == maxLines {
				r.diags.Stop(st.Place(), spec.name+" has too many lines", fmt.Sprintf("expected at most %d", maxLines))
				return
			}
			spec.line(r, st, into)
		case st.Entry == nil:
			r.unknown(spec, b, st, into)
			switch {
			case r.outer(spec, st):
				st.Guess().Row.(*entry).read(r, st, r.outside(st))
			case st.Guess() != nil:
				st.Guess().Row.(*entry).read(r, st, into)
			}
		default:
			var counts bool
			if given, counts = r.again(b, given, st); counts {
				r.pasted = false
				r.sayEffect(entryOf(st), st, b)
				r.read(st, into)
			}
		}
	}
	if spec.done != nil {
		if b.Owner != nil {
			r.diags.Now = b.Owner.All()
		}
		spec.done(r, b, into)
	}
}

// read takes a statement into its block. One without a block that gives an error is
// broken: what it would have set is not missed.
func (r *reader) read(st *text.Statement, into any) {
	errors := r.diags.Counts[text.Error]
	e := entryOf(st)
	e.read(r, st, into)
	st.Broken = st.Broken || e.inner == nil && r.diags.Counts[text.Error] > errors
}

// maxLines bounds the lists of a configuration.
const maxLines = 1 << 16

// again warns of a setting that is given twice: the last one counts, but of
// scripts the first. It tells whether this one does.
func (r *reader) again(b *text.Block, given []*text.Statement, st *text.Statement) (now []*text.Statement, counts bool) {
	if entryOf(st).slot == "" || b.Shifted {
		return given, true
	}
	for i, first := range given {
		if e := entryOf(st); entryOf(first).slot == e.slot && (e.first || e.yields != nil && e.yields(first, st)) {
			r.warnAt(st.Place(), "listed-twice", st.Keyword()+" is given twice: the first one counts",
				"take one of them out", "first given at "+first.Place().String())
			return given, false
		}
		if entryOf(first).slot == entryOf(st).slot {
			r.warnAt(st.Place(), "given-twice", st.Keyword()+" is given twice: this one counts",
				"take one of them out", "first given at "+first.Place().String())
			given[i] = st
			return given, true
		}
	}
	return append(given, st), true
}

// statementsOf are a block's statements of one keyword; b may be nil.
func statementsOf(b *text.Block, keyword string) (list []*text.Statement) {
	if b == nil {
		return nil
	}
	for _, st := range b.Statements {
		if e := entryOf(st); e != nil && e.name == keyword && !st.Broken {
			list = append(list, st)
		}
	}
	return list
}

// entryOf is the line of the table that a statement is read by, nil where it has none.
func entryOf(st *text.Statement) *entry {
	if st.Entry == nil {
		return nil
	}
	return st.Entry.Row.(*entry)
}

// unknown is a keyword that the block does not have: one that belongs in
// another block, or none at all.
func (r *reader) unknown(spec *blockSpec, b *text.Block, st *text.Statement, into any) {
	word := st.Keyword()
	if spec.name == "" && st.Guess() == nil && isShell(st) {
		b.Unsure = true
		r.diags.ErrorOnce(text.ShellCause, st.All(), text.ShellLine, "take it out")
		return
	}
	if spec.name == "" && r.section(st) {
		b.Unsure = true
		return
	}
	if r.outer(spec, st) {
		hint := "it belongs outside any block"
		if own := spec.ownOf(word); own != nil {
			m, _ := spec.meantBy(word)
			hint += "; for what goes beyond keepalived, " + m.hint()
			st.Block.Unsure = true // what it lacks may be in the right block
		}
		r.errorAt(st.Place(), fmt.Sprintf("keyword %q is misplaced %s", word, spec.where()), hint)
		b.Unsure = true
		return
	}
	if m, ok := spec.meantBy(word); ok {
		r.tellMeant(m, spec, b, st, into)
		return
	}
	near := text.Nearest(word, spec.names())
	// A letter more or less is a typing error rather than another block's word.
	if home := r.language.home(word); home != "" && (near == "" || text.Distance(word, near, 2) > 1) {
		r.errorAt(st.Place(), fmt.Sprintf("keyword %q is misplaced %s", word, spec.where()), "it belongs "+home)
		b.Unsure = true
		return
	}
	hint := "not a keyword of keepalived.conf" + skipped(st)
	if st.Guess() != nil {
		near = st.Guess().Row.(*entry).name
	}
	if near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		// What was meant is not missed as well.
		b.Statements = append(b.Statements, &text.Statement{Entry: spec.Lookup(near), Words: st.Words, Broken: true})
		r.tryAs(spec.lookup(near), st, into)
	} else if b.Unsure = true; r.language.elsewhere(word) != "" {
		near = r.language.elsewhere(word)
		hint = fmt.Sprintf("did you mean %q, which belongs %s?", near, r.language.home(near))
	}
	r.diags.ErrorOf(text.KindKeyword, st.Place(), fmt.Sprintf("unknown keyword %q %s", text.Shorten(word), spec.where()), hint)
}

// outer tells whether a statement opens, inside a block, one that belongs outside any.
func (r *reader) outer(spec *blockSpec, st *text.Statement) bool {
	return spec.name != "" && st.Guess() != nil && st.Guess().Row.(*entry) == r.language.root.lookup(st.Keyword())
}

// renewable is a configuration that gives an empty one, for blocks that stand in it twice.
type renewable interface{ another(l *language) any }

// outside is what a block that stands inside another is read into: the configuration, or
// an empty one where a block of the same name stands where it may.
func (r *reader) outside(st *text.Statement) any {
	c, ok := r.config.(renewable)
	if ok && slices.ContainsFunc(r.root.Statements, func(other *text.Statement) bool {
		return other.Title() == st.Title() && other.Entry != nil
	}) {
		return c.another(r.language)
	}
	return r.config
}

// section takes the lines of a section of HAProxy: it has no braces, so that the lines behind
// its head belong to it up to one that keepalived knows.
func (r *reader) section(st *text.Statement) bool {
	if st.Block != nil && slices.Contains([]string{"server", "upstream", "http", "events", "stream", "location"}, st.Keyword()) && st.Guess() == nil {
		r.diags.ErrorOnce("section", st.Place(), text.Quote(st.Keyword())+" begins a block of nginx", "take it out")
		return true
	}
	if !slices.Contains([]string{"frontend", "backend", "listen"}, st.Keyword()) || st.Block != nil {
		return r.pasted && st.Block == nil && text.Nearest(st.Keyword(), r.language.root.names()) == ""
	}
	r.pasted = true
	r.diags.ErrorOnce("section", st.Place(), text.Quote(st.Keyword())+" begins a section of HAProxy", "take it out, and the lines behind it")
	return true
}

// tryAs reads a statement as that of another keyword, which was meant, so that what hangs
// on it is not wrong, too. What it says is not said.
func (r *reader) tryAs(e *entry, st *text.Statement, into any) {
	if e.inner != nil || st.Block != nil || into == nil {
		return
	}
	diags := r.diags
	r.diags = &text.Collector{Holds: true, Now: diags.Now}
	e.read(r, st, into)
	r.diags = diags
}

func skipped(st *text.Statement) string {
	if st.Block != nil {
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
func has(b *text.Block, names ...string) bool {
	return b.Unsure || slices.ContainsFunc(b.Statements, func(st *text.Statement) bool {
		e := entryOf(st)
		return e != nil && slices.Contains(names, e.name)
	})
}

// mentionsOf is has for a block that is asked later.
func mentionsOf(b *text.Block) func(names ...string) bool {
	return func(names ...string) bool { return has(b, names...) }
}

// require gives a diagnostic at the block's head when it lacks a keyword.
func (r *reader) require(b *text.Block, name, hint string) {
	if !has(b, name) {
		r.diags.ErrorOf(text.KindMissing, b.Owner.All(), fmt.Sprintf("%s has no %s", b.Owner.Title(), name), hint)
	}
}

// one reads the single value of a statement.
func one[V any](r *reader, st *text.Statement, k kind[V]) (V, bool) {
	var none V
	if len(st.Words) == 1 {
		r.diags.ErrorOf(text.KindMissing, st.Place(), st.Keyword()+" lacks its value", "expected "+k.expects)
		return none, false
	}
	v, ok := word(r, st, 1, k)
	if ok && len(st.Words) > 2 {
		r.extra(st, 2)
		return none, false
	}
	return v, ok
}

// word reads one of a statement's words.
func word[V any](r *reader, st *text.Statement, i int, k kind[V]) (V, bool) {
	v, complaint := k.parse(st.Words[i].Text)
	if unknown := st.Words[i].IsName(); unknown && complaint != nil {
		r.errorAt(st.Words[i].Place, fmt.Sprintf("%s: %s is not defined", st.Keyword(), text.Quote(st.Words[i].Text)), "write "+text.Shorten(st.Words[i].Text)+"=VALUE on a line before it")
		return v, false
	} else if unknown {
		r.warnAt(st.Words[i].Place, "undefined-name", fmt.Sprintf("%s is not defined: it is taken as it stands", text.Quote(st.Words[i].Text)), "write "+text.Shorten(st.Words[i].Text)+"=VALUE on a line before it, or put '...' around it")
	}
	if complaint == nil {
		return v, true
	}
	if complaint.ignored {
		r.warnAt(st.Words[i].Place, "value-ignored", st.Keyword()+": "+complaint.what, complaint.hint)
		return v, true
	}
	if complaint.pending {
		r.pending(st.Keyword()+" "+complaint.what, st.Words[i].Place)
		return v, true
	}
	hint := complaint.hint
	if hint == "" {
		hint = "expected " + k.expects
	}
	message := complaint.what
	if i > 0 {
		message = st.Keyword() + ": " + message
	}
	r.errorAt(st.Words[i].Place, message, hint)
	return v, false
}

// sayQuotes warns of a word that keepalived reads otherwise: with the quotes, or the
// backslashes.
func (r *reader) sayQuotes(st *text.Statement, i int) {
	plain, single := st.Words[i].AsPlain()
	if plain == st.Words[i].Text && single {
		return
	}
	theirs := "as several words"
	if single {
		theirs = "as " + text.Quote(plain)
	}
	r.warnAt(st.Words[i].Place, "quotes", fmt.Sprintf("%s: keepalived reads this %s, weir as %s", st.Keyword(), theirs, text.Quote(st.Words[i].Text)),
		`put "..." around the whole value, without ' and \ in it`)
}

// extra is for words that nothing asks for.
func (r *reader) extra(st *text.Statement, from int) {
	hint := "take it out, or begin a comment with #"
	at := st.Words[from].Place.Through(st.Words[len(st.Words)-1].Place)
	message := fmt.Sprintf("%s takes %s; %q is too much", text.Shorten(st.Keyword()), values(from-1), text.Shorten(strings.TrimSpace(at.Text())))
	r.errorAt(at, message, hint)
}

func values(n int) string {
	if n == 0 {
		return "no value"
	}
	return text.Plural(n, "value")
}

// wordsOf is tokens as one text.
func wordsOf(tokens []text.Token) string {
	var texts []string
	for _, t := range tokens {
		texts = append(texts, t.Text)
	}
	return strings.Join(texts, " ")
}

// misplacedIn tells whether a line of a list is a keyword of another block,
// and says so.
func (r *reader) misplacedIn(st *text.Statement, list string) bool {
	home := r.language.home(st.Keyword())
	if home != "" {
		r.errorAt(st.Place(), fmt.Sprintf("keyword %q is misplaced in %s", st.Keyword(), list), "it belongs "+home)
	}
	return home != ""
}

// unique tells whether a key is new, and gives a diagnostic naming the first
// place when it is not.
func unique[K comparable](r *reader, first map[K]text.Place, key K, at text.Place, what func() string) bool {
	before, taken := first[key]
	if taken {
		r.diags.ErrorOf(text.KindTwice, at, what(), "take one of them out", fmt.Sprintf("first given at %s", before))
		return false
	}
	first[key] = at
	return true
}
