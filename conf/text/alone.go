package text

import (
	"slices"
	"strings"
)

// A part is a block of a file that is read by itself: it is cut out of the file before
// the words are, and stands in the tree as one statement.

// Alone says which blocks are parts.
type Alone struct {
	// Keyword begins a part.
	Keyword string
	// Stands tells whether a block's text has a meaning of its own, wherever it
	// stands; head is its first line.
	Stands func(head, text string) bool
	// Expected is the part that a text begins with, where it is known, and expected there; Known is
	// the one that is a text. Both are nil where there is none.
	Expected, Known func(text string) Known
	// Add is given each part with its place; take is what stands for the part of a
	// number in the tree.
	Add  func(text string, at Place, known Known)
	Take func(number int) *Keyword
	// numbers count the parts, in the order of reading.
	numbers map[includeKey]int
	// misplaced is a part that stands inside a block.
	misplaced bool
}

// Known is a part that was read before.
type Known interface {
	// Size is how many bytes it has, and how many lines end in it.
	Size() (bytes int, lines int32)
}

// Misplaced tells whether a part stands inside a block.
func (a *Alone) Misplaced() bool { return a.misplaced }

// AsPart is the source of a part that begins at p.
func (p Place) AsPart(text string) *Source {
	return &Source{Name: p.Src.Name, Text: text, order: p.Src.order, from: p.Src.from, part: true, line: p}
}

// LexAlone cuts a part into tokens, in room.
func LexAlone(src *Source, diags *Collector, room *Room) *Lexed {
	l := &lexer{src: src, line: 1, column: 1, diags: diags, most: MostTokens(len(src.Text)), tokens: slices.Grow(room.tokens[:0], len(src.Text)/5+8)}
	l.all()
	l.emit(endToken, "", l.here())
	room.tokens = l.tokens
	return &Lexed{src: src, Tokens: l.tokens}
}

// maxPart is the longest part, in bytes: one that is longer is read with its file.
const maxPart = 1 << 18

// at is the part that a text begins with, with the end of its last line. It is
// empty where there is none: the block has to begin and end at the beginnings of
// lines, with nothing at such a place in between, and hold no line that sayLong warns of, and
// nothing that other lines of the file give a meaning to.
func (a *Alone) at(text string) string {
	if !strings.HasPrefix(text, a.Keyword) || len(text) == len(a.Keyword) || !isBlank(text[len(a.Keyword)]) {
		return ""
	}
	head, _, _ := strings.Cut(text, "\n")
	for end := 0; end < min(len(text), maxPart); {
		line, _, ended := strings.Cut(text[end:], "\n")
		begun := end
		if end += len(line); ended {
			end++
		}
		switch {
		case len(line) > maxTheirs:
			return ""
		case begun == 0, line == "", isBlank(line[0]), line[0] == '{', line[0] == '#', line[0] == '!':
		case line[0] == '}' && a.Stands(head, text[:end]):
			return text[:end]
		default:
			return ""
		}
	}
	return ""
}

// cut is where a part is in its file, in bytes.
type cut struct {
	start, size int
	known       Known
}

// cutsOf finds the parts of a file.
func (a *Alone) cutsOf(text string) (cuts []cut) {
	for at := 0; ; {
		if c := a.cutAt(text, at); c.size > 0 {
			cuts = append(cuts, c)
			at += c.size
			continue
		}
		next := strings.Index(text[at:], "\n"+a.Keyword)
		if next < 0 {
			return cuts
		}
		at += next + 1
	}
}

// cutAt is the part at a place of a file; its size is 0 where there is none.
func (a *Alone) cutAt(text string, start int) (c cut) {
	c = cut{start: start}
	if c.known = a.Expected(text[start:]); c.known != nil {
		c.size, _ = c.known.Size()
	} else if part := a.at(text[start:]); part != "" {
		c.size, c.known = len(part), a.Known(part)
	}
	return c
}

// part takes a part at the beginning of a line that no other goes on with.
func (l *lexer) part() bool {
	for len(l.cuts) > 0 && l.cuts[0].start < l.pos {
		l.cuts = l.cuts[1:]
	}
	if len(l.cuts) == 0 || l.cuts[0].start > l.pos || len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].kind < lineToken {
		return false
	}
	at, text, known := l.here(), l.src.Text[l.pos:l.pos+l.cuts[0].size], l.cuts[0].known
	l.pos += len(text)
	if known != nil {
		_, lines := known.Size()
		l.line += lines
	} else {
		l.line += int32(strings.Count(text, "\n"))
	}
	l.emit(partToken, "", at)
	l.first = len(l.tokens)
	a := l.run.parts
	a.numbers[includeKey{at.Src, at.start}] = len(a.numbers)
	a.Add(text, at, known)
	return true
}

// part is where the file being read has a part.
func (b *builder) part(t Token) {
	b.next++
	if len(b.frames) != 1 {
		b.run.parts.misplaced = true
		return
	}
	t.Text = b.run.parts.Keyword
	st := &Statement{Words: []Token{t}, Entry: b.run.parts.Take(b.run.parts.numbers[includeKey{t.Src, t.start}])}
	b.top().Statements = append(b.top().Statements, st)
}
