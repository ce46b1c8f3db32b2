package text

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is to the block tree.
type tokenKind uint8

const (
	wordToken    tokenKind = iota
	openToken              // {
	closeToken             // }
	lineToken              // the end of a line
	endToken               // the end of the file
	partToken              // a block that is read by itself, see part.go
	commentToken           // a comment, where they are kept
)

// Token is a word, a brace or a line's end, with its place.
type Token struct {
	// Text is the word without its quotes and escapes.
	Text string
	Place
	kind tokenKind
	// broken is a word that a diagnostic has been given for.
	broken bool
}

// lexer cuts a source into tokens. The rules are keepalived's:
//
//   - white space parts words; # and ! begin a comment anywhere on a line but
//     inside double quotes, and after a backslash;
//   - a string in " or ' is one word, and may be part of a longer one;
//   - { opens a block at the end of a word or alone; } closes one as a word of
//     its own; a pair of braces inside one word is text: ${NAME}, {a,b}.conf;
//   - a backslash at a line's end continues the line.
type lexer struct {
	src    *Source
	pos    int
	line   int32
	column int32
	diags  *Collector
	tokens []Token
	most   int // that there may be
	// first is the index of the line's first token.
	first int
	// run is what the files of a run share; without it a text is only words.
	run *Reading
	// resolved is a text whose names have been replaced.
	resolved bool
	// cuts are the parts that are still to come.
	cuts []cut
	// comments tells that comments are kept.
	comments bool
	// conflicts counts the merge conflicts that are open, heredoc is the line that ends
	// what a shell would have written.
	conflicts int
	heredoc   string
}

// byteOrderMark may stand at the start of a file that a Windows editor wrote.
const byteOrderMark = "\ufeff"

// lex cuts the source into tokens; the last is always an endToken.
func lex(src *Source, diags *Collector, run *Reading) []Token {
	l := &lexer{src: src, line: 1, column: 1, diags: diags, run: run, most: MostTokens(len(src.Text))}
	if strings.HasPrefix(src.Text, byteOrderMark) {
		l.sayMark()
	}
	around := len(src.Text)
	if run != nil && run.parts != nil {
		l.cuts = run.parts.cutsOf(src.Text)
		for _, c := range l.cuts {
			around -= c.size
		}
	}
	l.tokens = make([]Token, 0, min(around/5+len(l.cuts)+8, l.most+2))
	if l.isText() && !l.oldLineEnds() {
		l.sayLong()
		l.all()
	}
	l.emit(endToken, "", l.here())
	return l.tokens
}

// sayMark goes behind the mark at the start of a file. keepalived takes it for a part of the
// first word.
func (l *lexer) sayMark() {
	at := l.here()
	at.end += int32(len(byteOrderMark))
	l.pos = len(byteOrderMark)
	if l.run != nil {
		l.diags.WarnAt(at, "keepalived-refuses", "the file begins with a byte order mark: keepalived takes it for a part of the first word", "save it as UTF-8 without a mark")
	}
}

// oldLineEnds refuses a text whose lines end with a carriage return alone, as those of old
// Macintoshes do: it would be one line.
func (l *lexer) oldLineEnds() bool {
	lines := strings.TrimRight(l.src.Text, "\r\n")
	if l.run == nil || strings.Contains(lines, "\n") || !strings.Contains(lines, "\r") {
		return false
	}
	l.diags.ErrorAt(l.here(), "the lines end with a carriage return alone", "save it with line feeds: keepalived reads one line")
	return true
}

// all cuts the whole text.
func (l *lexer) all() {
	for l.pos < len(l.src.Text) && !l.diags.Full() {
		if l.column == 1 {
			l.diags.Now = l.here()
		}
		if l.run != nil && l.column == 1 && (l.part() || l.pasted() || l.macro()) {
			continue
		}
		l.token()
	}
	l.lineEnds()
}

// lineEnds looks at the line that has been read: an include is read here, so
// that what it defines holds from here on.
func (l *lexer) lineEnds() {
	line := l.tidy(l.tokens[l.first:])
	l.first = len(l.tokens)
	if l.run == nil || len(line) == 0 || line[0].kind != wordToken {
		return
	}
	if _, ok := includeLevels[line[0].Text]; ok {
		l.run.include(l, line)
	} else if line[0].Text == "include_check" {
		l.run.includes.setCheck(line[1:])
	}
}

// maxTheirs is the longest line in bytes, without its end, that keepalived reads.
const maxTheirs = 1022

// sayLong warns of the first line of a file that is too long for keepalived (read_line in
// lib/parser.c): 2.4.3 leaves its beginning out, and 2.2.7 reads its rest as another line. Parts
// have none.
func (l *lexer) sayLong() {
	if l.run == nil {
		return
	}
	begin := 0
	for _, c := range append(l.cuts, cut{start: len(l.src.Text)}) {
		for rest := l.src.Text[begin:c.start]; len(rest) > maxTheirs; {
			line, after, _ := strings.Cut(rest, "\n")
			if len(line) > maxTheirs {
				start := c.start - len(rest)
				at := Place{Src: l.src, line: 1 + int32(strings.Count(l.src.Text[:start], "\n")), column: 1, start: int32(start), end: int32(start + len(line))}
				l.diags.WarnAt(at, "long-line", fmt.Sprintf("keepalived cannot read a line of %d bytes, weir does", len(line)), fmt.Sprintf("expected at most %d bytes", maxTheirs))
				return
			}
			rest = after
		}
		begin = c.start + c.size
	}
}

// isText refuses a file with a NUL byte: a binary, or UTF-16.
func (l *lexer) isText() bool {
	nul := strings.IndexByte(l.src.Text, 0)
	if nul < 0 {
		return true
	}
	if strings.HasPrefix(l.src.Text, "\xff\xfe") || strings.HasPrefix(l.src.Text, "\xfe\xff") {
		l.diags.ErrorAt(l.here(), "this is UTF-16", "save it as UTF-8")
		return false
	}
	for l.pos < nul {
		l.next()
	}
	at := l.here()
	at.end = at.start + 1
	l.diags.ErrorAt(at, "a NUL byte: this is not a text file", "expected UTF-8 text")
	return false
}

// here is the empty place at the lexer's position.
func (l *lexer) here() Place {
	return Place{Src: l.src, line: l.line, column: l.column, start: int32(l.pos), end: int32(l.pos)}
}

// peek is the byte n after the position, 0 past the end of the text.
func (l *lexer) peek(n int) byte {
	if l.pos+n < len(l.src.Text) {
		return l.src.Text[l.pos+n]
	}
	return 0
}

// next takes one rune; a byte that is no UTF-8 counts as one.
func (l *lexer) next() string {
	if c := l.src.Text[l.pos]; c < utf8.RuneSelf && c != '\n' {
		l.pos++
		l.column++
		return l.src.Text[l.pos-1 : l.pos]
	}
	_, size := utf8.DecodeRuneInString(l.src.Text[l.pos:])
	s := l.src.Text[l.pos : l.pos+size]
	l.pos += size
	l.column++
	if s == "\n" {
		l.line++
		l.column = 1
	}
	return s
}

func (l *lexer) emit(kind tokenKind, text string, at Place) {
	if len(l.tokens) >= l.most && kind != endToken {
		l.diags.Stop(at, "too much to read", fmt.Sprintf("expected at most %d words and lines in a file of %d bytes", l.most, len(l.src.Text)))
		return
	}
	at.end = max(at.end, at.start)
	l.tokens = append(l.tokens, Token{kind: kind, Text: text, Place: at})
}

// brace emits a one-byte token.
func (l *lexer) brace(kind tokenKind) {
	at := l.here()
	at.end++
	l.next()
	l.emit(kind, "", at)
}

// token takes one token, or what stands between two.
func (l *lexer) token() {
	switch c := l.peek(0); {
	case c == '\n':
		at := l.here()
		l.next()
		l.emit(lineToken, "", at)
		l.lineEnds()
	case isBlank(c):
		for isBlank(l.peek(0)) {
			l.pos++
			l.column++
		}
	case c == '#', c == '!', c == '\\' && beginsComment(l.src.Text[l.pos:]) > 0:
		at := l.here()
		if end := strings.IndexByte(l.src.Text[l.pos:], '\n'); end >= 0 {
			l.pos += end
		} else {
			l.pos = len(l.src.Text)
		}
		l.column++ // which nothing reads behind a comment
		if at.end = int32(l.pos); l.comments {
			l.emit(commentToken, "", at)
		}
	case l.continues():
		for l.next() != "\n" {
		}
	case l.skipOddBlank(), l.curlyQuote():
	case c == '}':
		l.brace(closeToken)
	case (c == '{' || c == '<') && l.placeholder():
	case c == '{' && l.pair() == 0:
		l.brace(openToken)
	default:
		l.word()
	}
}

// placeholders are the brackets of templates: of Jinja, Go and Ruby.
var placeholders = [][2]string{{"{{", "}}"}, {"{%", "%}"}, {"<%", "%>"}}

// placeholder takes a {{ name }} that nobody has filled in. The file is a template: that is
// one mistake.
func (l *lexer) placeholder() bool {
	text := l.src.Text[l.pos:min(len(l.src.Text), l.pos+maxName)]
	i := slices.IndexFunc(placeholders, func(p [2]string) bool { return strings.HasPrefix(text, p[0]) })
	if i < 0 {
		return false
	}
	end := strings.Index(text, placeholders[i][1])
	if end < 0 || strings.ContainsRune(text[:end], '\n') {
		return false
	}
	at := l.here()
	l.skip(end + 2)
	at.end = int32(l.pos)
	l.diags.ErrorOnce("placeholder", at, "the placeholder "+at.Text()+" is not filled in", "expected the value itself: this is a template")
	l.emit(wordToken, at.Text(), at)
	l.tokens[len(l.tokens)-1].broken = true
	return true
}

// isBlank tells white space within a line. A carriage return is one, so that
// files with CRLF line ends need nothing more.
func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'
}

// continues tells whether a backslash ends the line here.
func (l *lexer) continues() bool {
	return l.peek(0) == '\\' && (l.peek(1) == '\n' || l.peek(1) == '\r' && l.peek(2) == '\n')
}

// pair is the length of {...} when the brace here closes within its word, and
// 0 otherwise. After a $ blanks may stand inside: ${_RANDOM 0 9}. It looks no
// further than the next opening brace, so that a text of braces stays linear.
func (l *lexer) pair() int {
	dollar := l.pos > 0 && l.src.Text[l.pos-1] == '$'
	for n := 1; ; n++ {
		switch c := l.peek(n); {
		case c == '}':
			return n + 1
		case c == 0, c == '\n', c == '{', c == '"', c == '#', c == '!':
			return 0
		case isBlank(c) && !dollar:
			return 0
		}
	}
}

// plain takes a word without anything special in it, and tells whether the next
// one is such.
func (l *lexer) plain() bool {
	end := l.pos
	for end < len(l.src.Text) {
		c := l.src.Text[end]
		if isBlank(c) || c == '\n' || c == '#' || c == '!' {
			break
		}
		if c >= utf8.RuneSelf && oddBlankAt(l.src.Text[end:]) && !invisibleAt(l.src.Text[end:]) {
			break
		}
		if c >= utf8.RuneSelf || c == '"' || c == '\'' || c == '\\' || c == '{' {
			return false
		}
		end++
	}
	at := l.here()
	at.end = int32(end)
	l.column += int32(end - l.pos)
	l.pos = end
	l.emit(wordToken, at.Text(), at)
	l.cutByComment(at, l.src.Text[l.pos:])
	return true
}

// cutByComment warns of a word that ends where a comment begins, as a password with a #
// in it does. rest is what follows the word.
func (l *lexer) cutByComment(word Place, rest string) {
	size := beginsComment(rest)
	if size == 0 || l.comments || len(rest) == size || rest[size] <= ' ' || rest[size] == rest[size-1] {
		return
	}
	if end := strings.IndexAny(rest, " \t\r\n"); end >= 0 {
		rest = rest[:end]
	}
	meant := word
	meant.end += int32(len(rest))
	l.diags.WarnAt(meant, "comment-in-word", fmt.Sprintf("%c begins a comment here: of %s only %s is read", rest[size-1], Quote(meant.Text()), Quote(word.Text())),
		"put \"...\" around it, or a blank before the comment")
}

// word takes one word, quoted parts included.
func (l *lexer) word() {
	if l.plain() {
		return
	}
	at := l.here()
	var text strings.Builder
	broken := false
	for l.pos < len(l.src.Text) && !l.wordEnds() {
		switch c := l.peek(0); {
		case c == '"', c == '\'' && l.singleQuoted(l.pos == int(at.start)):
			if !l.quoted(&text) {
				broken = true
			}
		case c == '{':
			n := l.pair()
			if n == 0 {
				broken = true
				l.openName(at)
			}
			for n > 0 {
				s := l.next()
				n -= len(s)
				text.WriteString(s)
			}
		case c >= utf8.RuneSelf && invisibleAt(l.src.Text[l.pos:]):
			l.skipOddBlank()
		case c == '\\' && l.peek(1) == '\\':
			text.WriteString(l.next())
			text.WriteString(l.next())
		default:
			text.WriteString(l.next())
		}
	}
	at.end = int32(l.pos)
	l.emit(wordToken, text.String(), at)
	l.tokens[len(l.tokens)-1].broken = broken
	if !broken {
		l.cutByComment(at, l.src.Text[l.pos:])
	}
}

func (l *lexer) wordEnds() bool {
	c := l.peek(0)
	if c >= utf8.RuneSelf {
		_, size := l.oddBlank()
		return size > 0 && !invisibleAt(l.src.Text[l.pos:])
	}
	return c == '\n' || isBlank(c) || beginsComment(l.src.Text[l.pos:]) > 0 || c == '{' && l.pair() == 0 && !l.opensName() || l.continues()
}

// opensName tells whether the brace here is that of a ${NAME} which is not closed.
func (l *lexer) opensName() bool {
	c := l.peek(1)
	return l.pos > 0 && l.src.Text[l.pos-1] == '$' && (c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
}

// openName takes a name whose brace is not closed, in the word that begins at a place.
func (l *lexer) openName(at Place) {
	l.next()
	l.skip(len(leadingName(l.src.Text[l.pos:])))
	at.end = int32(l.pos)
	l.diags.ErrorAt(at, "the brace of "+Quote(at.Text())+" is not closed", "write ${NAME}")
}

// singleQuoted tells whether the ' here begins a quoted string. One that does
// not close before the line ends or a comment begins is an apostrophe inside a
// word (Bob's), and a mistake at the word's start.
func (l *lexer) singleQuoted(start bool) bool {
	if start {
		return true
	}
	for n := 1; ; n++ {
		switch l.peek(n) {
		case '\'':
			return true
		case 0, '\n', '#', '!', '{':
			return false
		}
	}
}

// quoted takes a quoted string into text. An unclosed one ends with its line,
// so that the rest of the file is read as it was meant.
func (l *lexer) quoted(text *strings.Builder) bool {
	at := l.here()
	quote := l.next()
	at.end = int32(l.pos)
	for l.pos < len(l.src.Text) {
		switch c := l.peek(0); {
		case c == quote[0]:
			l.next()
			return true
		case c == '\n', c == '\r' && l.peek(1) == '\n', quote == "'" && (c == '#' || c == '!'):
			l.unclosedQuote(at, quote)
			return false
		case c == '\\' && quote == `"` && l.peek(1) != '\n' && l.peek(1) != 0:
			l.escape(text)
		default:
			text.WriteString(l.next())
		}
	}
	l.unclosedQuote(at, quote)
	return false
}

func (l *lexer) unclosedQuote(at Place, quote string) {
	hint := "expected another " + quote + " on this line"
	if c := l.peek(0); c == '#' || c == '!' {
		hint = "a comment begins first: only in \"...\" is " + string(c) + " text"
	}
	l.diags.ErrorAt(at, "the quote "+quote+" is not closed", hint)
}
