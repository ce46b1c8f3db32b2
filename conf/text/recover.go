package text

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A brace that is missing or too many shifts the meaning of all that follows.
// Three facts together tell what happened, so that it is said once and at the
// right place: how many braces of the file have no partner (excess), which
// keywords may stand in which block, and where the indentation breaks (skew).

// skew is a closing brace that stands further left or right than the block
// which it closes by count.
type skew struct {
	set   bool
	frame *frame
	brace Token
}

// compareIndent notes the first brace whose column is not its block's: further
// left when one before it is missing, further right when it is one too many.
func (b *builder) compareIndent(f *frame, brace Token) {
	own := f.open.Place
	if f.Owner != nil && f.Owner.Words[0].kind == wordToken {
		own = f.Owner.Place()
	}
	if b.skew.set || own.Src != brace.Src || !own.alone() || !brace.alone() || own.column == brace.column {
		return
	}
	b.skew = skew{set: true, frame: f, brace: brace}
}

// settle finds the statement's entry, repairing the stack of blocks first
// where the keyword shows that a brace is missing or too many.
func (b *builder) settle(st *Statement) {
	top := b.top()
	if top.spec == nil {
		return
	}
	st.Entry = top.spec.Lookup(st.Keyword())
	switch {
	case st.Entry != nil:
	case b.excess > 0:
		b.closeFor(st)
	case b.excess < 0 && !b.reopenFor(st, false) && !b.headless(st):
		b.reopenFor(st, true)
	}
}

// closeFor closes the blocks that lack their brace before the statement, whose
// keyword belongs to a block further out.
func (b *builder) closeFor(st *Statement) {
	for i := len(b.frames) - 2; i >= b.base-1 && i >= 0; i-- {
		outer := b.frames[i]
		if len(b.frames)-1-i > b.excess || outer.spec == nil {
			return
		}
		e := outer.spec.Lookup(st.Keyword())
		if e == nil {
			continue
		}
		b.unclosed(b.frames[i+1:], fmt.Sprintf("before %s (line %d)", st.Keyword(), st.Place().written().line))
		b.excess -= len(b.frames) - 1 - i
		b.frames = b.frames[:i+1]
		st.Entry = e
		return
	}
}

// maxNotes is how many of the blocks around an unclosed one are named.
const maxNotes = 4

// unclosed gives one diagnostic for blocks that lack their brace: at the one
// that the indentation shows, or else at the innermost.
func (b *builder) unclosed(frames []*frame, where string) {
	inner := frames[len(frames)-1]
	var notes []string
	for i := len(frames) - 2; i >= 0; i-- {
		if len(notes) == maxNotes {
			notes = append(notes, fmt.Sprintf("and %d blocks around them", i+1))
			break
		}
		notes = append(notes, fmt.Sprintf("%s (line %d) is open too", frames[i].Owner.Title(), frames[i].open.written().line))
	}
	for _, f := range frames {
		f.Unsure, f.unclosed, f.Shifted = true, true, true
	}
	if s := b.skew; s.set && len(frames) == 1 && s.brace.column < s.frame.Owner.Place().column && s.frame.open.start > inner.open.start {
		inner = s.frame
		where = fmt.Sprintf(`before the "}" of line %d`, s.brace.written().line)
	}
	b.skew = skew{}
	if b.gluedBrace(inner) {
		return
	}
	at := inner.open.Place
	if inner.Owner.Words[0].kind == wordToken {
		at = inner.Owner.All()
	}
	b.diags.ErrorAt(at, inner.Owner.Title()+" is not closed", `expected "}" `+where, notes...)
}

// gluedBrace tells whether the block is open because its brace is glued to its
// last word, where it is text, and says so.
func (b *builder) gluedBrace(f *frame) bool {
	if len(f.Statements) == 0 {
		return false
	}
	last := f.Statements[len(f.Statements)-1]
	word := last.Words[len(last.Words)-1]
	if !strings.HasSuffix(word.Place.Text(), "}") || last.Block != nil {
		return false
	}
	last.Broken = true
	b.diags.ErrorAt(word.Place, fmt.Sprintf("the brace of %q is part of the word", Shorten(word.Text)),
		fmt.Sprintf(`put a blank before the "}" that closes %s`, f.Owner.Keyword()))
	return true
}

// unclosedAtEnd ends the blocks that are open at the file's end.
func (b *builder) unclosedAtEnd() {
	if len(b.frames) == b.base {
		return
	}
	end := b.tokens[len(b.tokens)-1].Place
	b.unclosed(b.frames[b.base:], fmt.Sprintf("before the end of the file (line %d)", end.lastLine()))
	b.frames = b.frames[:b.base]
}

// lastLine is the number of the last line that p, the end of a text, ends.
func (p Place) lastLine() int32 {
	p = p.written()
	if p.column == 1 && p.line > 1 {
		return p.line - 1
	}
	return p.line
}

// reopenFor goes back into the block that was closed last, when the statement
// belongs into it and the file has a closing brace too many.
// With lists a list may have any word.
func (b *builder) reopenFor(st *Statement, lists bool) bool {
	top := b.top()
	f := top.closed
	if f == nil || f.spec == nil {
		return false
	}
	e, since := f.spec.Lookup(st.Keyword()), top.since(f)
	listed := lists && e == nil && f.spec.Listed(st.Keyword()) && !top.spec.Near(st.Keyword())
	if e == nil && !listed || since < 0 {
		return false
	}
	for _, moved := range top.Statements[since:] {
		moved.Entry = f.spec.Lookup(moved.Keyword())
		f.Statements = append(f.Statements, moved)
	}
	top.Statements = top.Statements[:since]
	brace := top.closedBrace
	if s := b.skew; s.set && s.brace.start > f.open.start && s.brace.column > s.frame.Owner.Place().column {
		brace = s.brace
	}
	b.skew = skew{}
	b.excess++
	f.Unsure, f.Shifted = true, true
	top.Unsure = top.Unsure || len(b.frames) == 1
	b.diags.ErrorAt(brace.Place, `this "}" is one too many`,
		fmt.Sprintf("take it out: %s (line %d) belongs to %s", st.Keyword(), st.Place().line, f.Owner.Title()))
	b.frames = append(b.frames, f)
	st.Entry = e
	return true
}

// maxSince bounds how far back a stray brace is looked for, in statements.
const maxSince = 64

// since is the index of the first statement after the inner block f, when all
// from there on may as well stand inside f, and -1 otherwise.
func (top *frame) since(f *frame) int {
	for i := len(top.Statements) - 1; i >= max(0, len(top.Statements)-maxSince); i-- {
		st := top.Statements[i]
		if st.Block == f.Block {
			return i + 1
		}
		if st.Block != nil || f.spec.Lookup(st.Keyword()) == nil && !f.spec.Listed(st.Keyword()) {
			return -1
		}
	}
	return -1
}

// headless finds a block whose first line is missing or commented out, while
// its closing brace is there: the keyword belongs into a block that may stand
// here. The block is skipped, for what it was called is not known.
func (b *builder) headless(st *Statement) bool {
	name := b.top().spec.Holder(st.Keyword())
	if name == "" {
		return false
	}
	b.excess++
	b.diags.ErrorAt(st.Place(), fmt.Sprintf("%s stands outside any %s", Quote(st.Keyword()), name),
		fmt.Sprintf("is the line missing that opens %s?", name))
	b.top().Unsure = true
	b.push(&Statement{Words: st.Words[:1], Broken: true}, nil, st.Words[0])
	return true
}

// unopened is a statement that lacks its block. Where the file has a closing
// brace too many, only the opening one is missing.
func (b *builder) unopened(st *Statement) {
	if b.excess < 0 {
		b.excess++
		if !st.Broken {
			b.diags.ErrorAt(st.All(), st.Title()+` lacks its "{"`, `expected "{" at the end of this line`)
		}
		b.push(st, st.Entry.Inner, st.Words[len(st.Words)-1])
		return
	}
	b.breaks(st, st.All(), st.Keyword()+" opens a block", `expected "{" and, after the block, "}"`)
}

// special takes the statements that are not keywords but instructions to the
// reader of the text, and tells whether st is one.
func (b *builder) special(st *Statement) bool {
	if b.top().spec == nil {
		return false
	}
	if _, includes := includeLevels[st.Keyword()]; includes {
		for _, f := range b.run.includes.lexed[includeKey{st.Place().Src, st.Place().start}] {
			b.file(f)
		}
		if brace, opens := b.brace(); opens {
			b.breaks(st, brace.Place, st.Keyword()+" opens no block", "the block is skipped")
			b.push(st, nil, brace)
		}
		return true
	}
	b.undefined(st)
	return false
}

// undefined breaks a statement that uses a name which nothing defines: ${NAME} anywhere,
// or $NAME in a keyword's place.
func (b *builder) undefined(st *Statement) {
	for n, w := range st.Words {
		i := strings.Index(w.Text, "${")
		if name := leadingName(strings.TrimPrefix(w.Text, "$")); n == 0 && i < 0 && name != "" && w.Text == "$"+name {
			i = 0
		}
		if i < 0 || w.broken {
			continue
		}
		if name, size := use(w.Text[i:]); size > 0 {
			hint := "write $" + Shorten(name) + "=VALUE on a line before it"
			if leadingName(name) != name {
				hint = "expected ${NAME}"
			}
			if near := Nearest(name, b.run.names()); near != "" {
				hint = fmt.Sprintf("did you mean $%s?", Shorten(near))
			}
			b.breaks(st, w.Place, Quote(w.Text[i:i+size])+" is not defined", hint)
		}
	}
	if st.Broken {
		b.top().Unsure = b.top().Unsure || b.top().spec.Lookup(st.Keyword()) == nil
	}
}

// names are those that are defined, sorted; none where they are too many.
func (run *Reading) names() []string {
	if len(run.definitions) > maxNames {
		return nil
	}
	return slices.Sorted(maps.Keys(run.definitions))
}

// maxNames is how many names are looked through for one that was meant.
const maxNames = 1000
