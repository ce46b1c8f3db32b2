package conf

import (
	"fmt"
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
	brace token
}

// compareIndent notes the first brace whose column is not its block's: further
// left when one before it is missing, further right when it is one too many.
func (b *builder) compareIndent(f *frame, brace token) {
	own := f.open.place
	if f.owner != nil && f.owner.words[0].kind == wordToken {
		own = f.owner.place()
	}
	if b.skew.set || own.src != brace.src || !own.alone() || !brace.alone() || own.column == brace.column {
		return
	}
	b.skew = skew{set: true, frame: f, brace: brace}
}

// settle finds the statement's entry, repairing the stack of blocks first
// where the keyword shows that a brace is missing or too many.
func (b *builder) settle(st *statement) {
	top := b.top()
	if top.spec == nil {
		return
	}
	st.entry = top.spec.Lookup(st.keyword())
	switch {
	case st.entry != nil:
	case b.excess > 0:
		b.closeFor(st)
	case b.excess < 0 && !b.reopenFor(st):
		b.headless(st)
	}
}

// closeFor closes the blocks that lack their brace before the statement, whose
// keyword belongs to a block further out.
func (b *builder) closeFor(st *statement) {
	for i := len(b.frames) - 2; i >= b.base-1 && i >= 0; i-- {
		outer := b.frames[i]
		if len(b.frames)-1-i > b.excess || outer.spec == nil {
			return
		}
		e := outer.spec.Lookup(st.keyword())
		if e == nil {
			continue
		}
		b.unclosed(b.frames[i+1:], fmt.Sprintf("before %s (line %d)", st.keyword(), st.place().written().line))
		b.excess -= len(b.frames) - 1 - i
		b.frames = b.frames[:i+1]
		st.entry = e
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
		notes = append(notes, fmt.Sprintf("%s (line %d) is open too", frames[i].owner.title(), frames[i].open.written().line))
	}
	for _, f := range frames {
		f.unsure, f.unclosed = true, true
	}
	if s := b.skew; s.set && len(frames) == 1 && s.brace.column < s.frame.owner.place().column && s.frame.open.start > inner.open.start {
		inner = s.frame
		where = fmt.Sprintf(`before the "}" of line %d`, s.brace.written().line)
	}
	b.skew = skew{}
	if b.gluedBrace(inner) {
		return
	}
	at := inner.open.place
	if inner.owner.words[0].kind == wordToken {
		at = inner.owner.all()
	}
	b.diags.errorAt(at, inner.owner.title()+" is not closed", `expected "}" `+where, notes...)
}

// gluedBrace tells whether the block is open because its brace is glued to its
// last word, where it is text, and says so.
func (b *builder) gluedBrace(f *frame) bool {
	if len(f.statements) == 0 {
		return false
	}
	last := f.statements[len(f.statements)-1]
	word := last.words[len(last.words)-1]
	if !strings.HasSuffix(word.place.text(), "}") || last.block != nil {
		return false
	}
	last.broken = true
	b.diags.errorAt(word.place, fmt.Sprintf("the brace of %q is part of the word", shorten(word.text)),
		fmt.Sprintf(`put a blank before the "}" that closes %s`, f.owner.keyword()))
	return true
}

// unclosedAtEnd ends the blocks that are open at the file's end.
func (b *builder) unclosedAtEnd() {
	if len(b.frames) == b.base {
		return
	}
	end := b.tokens[len(b.tokens)-1].place
	b.unclosed(b.frames[b.base:], fmt.Sprintf("before the end of the file (line %d)", end.lastLine()))
	b.frames = b.frames[:b.base]
}

// lastLine is the number of the last line that p, the end of a text, ends.
func (p place) lastLine() int32 {
	p = p.written()
	if p.column == 1 && p.line > 1 {
		return p.line - 1
	}
	return p.line
}

// reopenFor goes back into the block that was closed last, when the statement
// belongs into it and the file has a closing brace too many.
func (b *builder) reopenFor(st *statement) bool {
	top := b.top()
	f := top.closed
	if f == nil || f.spec == nil {
		return false
	}
	e, since := f.spec.Lookup(st.keyword()), top.since(f)
	if e == nil || since < 0 {
		return false
	}
	for _, moved := range top.statements[since:] {
		moved.entry = f.spec.Lookup(moved.keyword())
		f.statements = append(f.statements, moved)
	}
	top.statements = top.statements[:since]
	brace := top.closedBrace
	if s := b.skew; s.set && s.brace.start > f.open.start && s.brace.column > s.frame.owner.place().column {
		brace = s.brace
	}
	b.skew = skew{}
	b.excess++
	b.diags.errorAt(brace.place, `this "}" is one too many`,
		fmt.Sprintf("take it out: %s (line %d) belongs to %s", st.keyword(), st.place().line, f.owner.title()))
	b.frames = append(b.frames, f)
	st.entry = e
	return true
}

// maxSince bounds how far back a stray brace is looked for, in statements.
const maxSince = 64

// since is the index of the first statement after the inner block f, when all
// from there on may as well stand inside f, and -1 otherwise.
func (top *frame) since(f *frame) int {
	for i := len(top.statements) - 1; i >= max(0, len(top.statements)-maxSince); i-- {
		st := top.statements[i]
		if st.block == f.block {
			return i + 1
		}
		if st.block != nil || f.spec.Lookup(st.keyword()) == nil {
			return -1
		}
	}
	return -1
}

// headless finds a block whose first line is missing or commented out, while
// its closing brace is there: the keyword belongs into a block that may stand
// here. The block is skipped, for what it was called is not known.
func (b *builder) headless(st *statement) {
	name := b.top().spec.Holder(st.keyword())
	if name == "" {
		return
	}
	b.excess++
	b.diags.errorAt(st.place(), fmt.Sprintf("%s stands outside any %s", quote(st.keyword()), name),
		fmt.Sprintf("is the line missing that opens %s?", name))
	b.top().unsure = true
	b.push(&statement{words: st.words[:1], broken: true}, nil, st.words[0])
}

// unopened is a statement that lacks its block. Where the file has a closing
// brace too many, only the opening one is missing.
func (b *builder) unopened(st *statement) {
	if b.excess < 0 {
		b.excess++
		if !st.broken {
			b.diags.errorAt(st.all(), st.title()+` lacks its "{"`, `expected "{" at the end of this line`)
		}
		b.push(st, st.entry.Inner, st.words[len(st.words)-1])
		return
	}
	b.breaks(st, st.all(), st.keyword()+" opens a block", `expected "{" and, after the block, "}"`)
}

// special takes the statements that are not keywords but instructions to the
// reader of the text, and tells whether st is one.
func (b *builder) special(st *statement) bool {
	if b.top().spec == nil {
		return false
	}
	if _, includes := includeLevels[st.keyword()]; includes {
		for _, f := range b.run.includes.lexed[includeKey{st.place().src, st.place().start}] {
			b.file(f)
		}
		if brace, opens := b.brace(); opens {
			b.breaks(st, brace.place, st.keyword()+" opens no block", "the block is skipped")
			b.push(st, nil, brace)
		}
		return true
	}
	b.undefined(st)
	return false
}

// undefined breaks a statement that uses a name which nothing defines.
func (b *builder) undefined(st *statement) {
	for _, w := range st.words {
		i := strings.Index(w.text, "${")
		if i < 0 || w.broken {
			continue
		}
		if name, size := use(w.text[i:]); size > 0 {
			hint := "write $" + shorten(name) + "=VALUE on a line before it"
			if leadingName(name) != name {
				hint = "expected ${NAME}"
			}
			b.breaks(st, w.place, quote("${"+name+"}")+" is not defined", hint)
		}
	}
	if st.broken {
		b.top().unsure = b.top().unsure || b.top().spec.Lookup(st.keyword()) == nil
	}
}
