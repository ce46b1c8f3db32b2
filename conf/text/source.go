// Package text cuts configurations into statements and blocks. It knows the form of
// keepalived's files, and no keyword: which words open which blocks it asks a Grammar.
//
// A text passes these steps, each with its place in the file, so that every Diagnostic
// can show the line that it is about:
//
//	lexer.go  text to words, braces and line ends; on the way expand.go, define.go and
//	          repeat.go replace what lines stand for, include.go reads what is included,
//	          alone.go cuts out what is read by itself, and pasted.go and alike.go find
//	          what comes from elsewhere and only looks right
//	tree.go   tokens to statements and blocks; recover.go: misplaced braces
//
// format.go lays a text out, render.go writes diagnostics.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Source is the text of one file, or what a line of one stands for, and how it
// came to be read.
type Source struct {
	Name string
	Text string
	// order counts the files in the order of reading, for sorting.
	order int
	// from is the include statement's place; its src is nil in the first file.
	from Place
	// expanded is what the line at line stands for; parts are where it is from.
	expanded bool
	line     Place
	parts    []expansion
	// part is a block that begins at line and is read by itself.
	part bool
}

// expansion is where a part of an expanded text comes from: from at on, up to
// the next one.
type expansion struct {
	at int32
	// literal is text that stands as it is at from; otherwise from is the use
	// of a name, which stands for the part.
	literal bool
	from    Place
}

// file is the source of the file that s is, or comes from.
func (s *Source) file() *Source {
	for s.expanded || s.part {
		s = s.line.Src
	}
	return s
}

// depth is how many expansions s is in.
func (s *Source) depth() (n int) {
	for ; s.expanded; s = s.line.Src {
		n++
	}
	return n
}

// Start is the first line of a source that holds anything.
func (s *Source) Start() Place {
	rest := strings.TrimLeft(s.Text, " \t\r\n\ufeff")
	at := Place{Src: s, line: 1, column: 1, start: int32(len(s.Text) - len(rest))}
	before := s.Text[:at.start]
	at.line += int32(strings.Count(before, "\n"))
	at.column += int32(runes(before[strings.LastIndexByte(before, '\n')+1:]))
	line, _, _ := strings.Cut(rest, "\n")
	at.end = at.start + int32(len(strings.TrimRight(line, " \t\r")))
	return at
}

// Place is a stretch of a source on one line.
type Place struct {
	Src *Source
	// line and column are 1-based; the column counts runes.
	line, column int32
	// start and end are byte offsets into src.text.
	start, end int32
}

// String is file:line, as notes name it.
func (p Place) String() string {
	p = p.written()
	return fmt.Sprintf("%s:%d", p.Src.Name, p.line)
}

// WithColumn is a place as FILE:LINE:COLUMN, both counted from 1; the zero Place is empty.
func (p Place) WithColumn() string {
	if p = p.written(); p.Src == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.Src.Name, p.line, p.column)
}

// further is the place of size bytes that begin some bytes behind p's start, on
// the same line.
func (p Place) further(bytes, size int) Place {
	p.column += int32(runes(p.Src.Text[p.start : int(p.start)+bytes]))
	p.start += int32(bytes)
	p.end = p.start + int32(size)
	return p
}

// written is where in a file it was written what stands at p.
func (p Place) written() Place {
	for p.Src != nil && (p.Src.expanded || p.Src.part) {
		p = p.Src.origin(p)
	}
	return p
}

// origin is where a place of an expanded text, or of a part, comes from.
func (s *Source) origin(p Place) Place {
	if s.part {
		p.Src, p.line = s.line.Src, p.line+s.line.line-1
		p.start, p.end = p.start+s.line.start, p.end+s.line.start
		return p
	}
	last := -1
	for i, part := range s.parts {
		if part.at > p.start {
			break
		}
		last = i
	}
	if last < 0 {
		return s.line
	}
	part := s.parts[last]
	from := part.from
	if part.literal {
		skipped := min(p.start-part.at, from.end-from.start)
		from.end = min(from.end, from.start+skipped+p.end-p.start)
		from.start += skipped
		if last+1 < len(s.parts) && p.end > s.parts[last+1].at {
			from.end = max(from.end, s.parts[last+1].from.end)
		}
	}
	from.column = s.line.column + int32(runes(from.Src.Text[s.line.start:from.start]))
	return from
}

// runes counts the runes of a text; a byte that is no UTF-8 counts as one.
func runes(text string) int { return utf8.RuneCountInString(text) }

// Part is the text of the part that a place is in; ok is false for one in no part.
func (p Place) Part() (text string, ok bool) {
	if p.Src == nil || !p.Src.part {
		return "", false
	}
	return p.Src.Text, true
}

// lineText is the line that the place is on, as far as a message can carry it.
func (p Place) lineText() string {
	before := p.Src.Text[max(0, p.start-maxWord):p.start]
	before = before[strings.LastIndexByte(before, '\n')+1:]
	line, _, _ := strings.Cut(before+p.Src.Text[p.start:min(len(p.Src.Text), int(p.end)+maxWord)], "\n")
	return strings.TrimSpace(line)
}

// Text is what stands at the place, as it is written.
func (p Place) Text() string { return p.Src.Text[p.start:p.end] }

// Through is the place from p's start to q's end.
func (p Place) Through(q Place) Place {
	if q.Src == p.Src && q.line == p.line && q.end > p.end {
		p.end = q.end
	}
	return p
}

// alone tells whether nothing but blanks stands before p on its line.
func (p Place) alone() bool {
	before := p.Src.Text[max(0, p.start-maxIndent):p.start]
	i := strings.LastIndexByte(before, '\n')
	if i < 0 && p.start > maxIndent {
		return false
	}
	return strings.Trim(before[i+1:], " \t\ufeff") == ""
}

// maxIndent bounds how far alone looks back, so that a file of one endless
// line costs no more than another.
const maxIndent = 256

// add appends a part of an expansion.
func (s *Source) add(text *strings.Builder, part string, literal bool, line Place, start, end int) {
	if part == "" {
		return
	}
	if last := len(s.parts) - 1; literal && last >= 0 && s.parts[last].literal {
		s.parts[last].from.end = line.start + int32(end)
		text.WriteString(part)
		return
	}
	from := line // whose column is that of the line, see origin
	from.start, from.end = line.start+int32(start), line.start+int32(end)
	s.parts = append(s.parts, expansion{at: int32(text.Len()), literal: literal, from: from})
	text.WriteString(part)
}

// maxWord is how many runes of the user's words a message repeats.
const maxWord = 60

// Shorten cuts a word of the user's to what a message can carry.
func Shorten(word string) string {
	n := 0
	for i := range word {
		if n++; n > maxWord {
			return word[:i] + "…"
		}
	}
	return word
}

// whole is the beginning of a source that is one line, whose number is given.
func (s *Source) whole(number int) Place { return Place{Src: s, line: int32(number), column: 1} }

// Quote is a word of the user's in a message.
func Quote(text string) string { return strconv.Quote(Shorten(text)) }
