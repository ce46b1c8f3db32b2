package text

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What looks like a blank, a quote, the end of a line or a comment, and is none in
// keepalived.conf: it comes from a word processor, a web page or another program's
// files. Each kind is one error, however often it stands in a file, and it is read as
// what was meant.

// oddBlanks are characters that look like a blank, or like nothing, with their names.
var oddBlanks = map[rune]string{
	'\u00a0': "no-break space", '\u1680': "ogham space", '\u2000': "en quad", '\u2001': "em quad",
	'\u2002': "en space", '\u2003': "em space", '\u2004': "space", '\u2005': "space", '\u2006': "space",
	'\u2007': "figure space", '\u2008': "punctuation space", '\u2009': "thin space", '\u200a': "hair space",
	'\u200b': "zero width space", '\u200e': "left-to-right mark", '\u200f': "right-to-left mark",
	'\u2028': "line separator", '\u202f': "narrow no-break space", '\u205f': "mathematical space",
	'\u2060': "word joiner", '\u3000': "ideographic space", '\ufeff': "byte order mark",
}

// oddBlankAt tells whether a text begins with a character that looks like a blank.
func oddBlankAt(text string) bool {
	c, _ := utf8.DecodeRuneInString(text)
	return oddBlanks[c] != ""
}

// oddBlank is the name of the character at the position that looks like a blank, and its
// size in bytes; 0 is none.
func (l *lexer) oddBlank() (name string, size int) {
	if l.peek(0) < utf8.RuneSelf {
		return "", 0
	}
	c, size := utf8.DecodeRuneInString(l.src.Text[l.pos:])
	if name = oddBlanks[c]; name == "" {
		return "", 0
	}
	article := "a"
	if strings.ContainsRune("aeiou", rune(name[0])) {
		article = "an"
	}
	return fmt.Sprintf("U+%04X, %s %s,", c, article, name), size
}

// invisibleAt tells whether a text begins with a character that has no width: it stands
// within a word as well as around it.
func invisibleAt(text string) bool {
	c, _ := utf8.DecodeRuneInString(text)
	return strings.ContainsRune("\u200b\u200e\u200f\u2060\ufeff", c)
}

// skipOddBlank takes a character that looks like a blank.
func (l *lexer) skipOddBlank() bool {
	name, size := l.oddBlank()
	if size == 0 {
		return false
	}
	at := l.here()
	at.end += int32(size)
	invisible := invisibleAt(l.src.Text[l.pos:])
	if l.next(); invisible {
		l.diags.ErrorOnce("invisible", at, name+" which nobody sees", "take it out")
	} else {
		l.diags.ErrorOnce("blank", at, name+" where a blank is meant", "put a blank in its place")
	}
	return true
}

// curlyQuotes are quotes of printed text, by the character that ends them.
var curlyQuotes = map[rune]string{'“': "”“", '”': "”", '„': "“”", '«': "»", '‘': "’‘", '’': "’", '‚': "‘’"}

// maxCurly is the longest string in such quotes, in bytes.
const maxCurly = 1024

// curlyQuote takes a string in quotes of printed text as one in ".
func (l *lexer) curlyQuote() bool {
	if l.peek(0) < utf8.RuneSelf {
		return false
	}
	c, size := utf8.DecodeRuneInString(l.src.Text[l.pos:])
	ends := curlyQuotes[c]
	if ends == "" {
		return false
	}
	line := l.src.Text[l.pos+size : min(len(l.src.Text), l.pos+maxCurly)]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	at := l.here()
	end := strings.IndexAny(line, ends+`"`)
	if end < 0 {
		end, line = 0, line[:0]
	}
	text := line[:end]
	at.end += int32(size)
	l.diags.ErrorOnce("quote", at, "a quote of printed text: "+string(c), `write "`)
	l.next()
	l.skip(len(text))
	if len(line) > 0 {
		l.next()
	}
	at.end = int32(l.pos)
	l.emit(wordToken, text, at)
	return true
}

// freeText are the keywords whose value may be anything.
var freeText = []string{"auth_pass", "password", "key", "process", "regex", "path"}

// tidy looks at the words of a line that was read: signs behind a word, and comments of
// other languages.
func (l *lexer) tidy(line []Token) []Token {
	if l.comments || len(line) == 0 {
		return line
	}
	if first := line[0]; first.kind == wordToken && (l.foreignComment(first) || l.markup(first) || l.removed(first)) {
		return l.withoutWords(line, 0, len(line))
	}
	line = l.added(line)
	if line[0].kind == wordToken && slices.Contains(freeText, line[0].Text) {
		return line
	}
	kept := line[:0]
	for i := range line {
		t := line[i]
		if t.kind == wordToken && !t.broken {
			l.entity(&t)
			if i > 0 && line[i-1].kind == wordToken && isComment(&t) {
				l.diags.ErrorOnce("comment", t.Place, fmt.Sprintf("%q begins no comment", t.Text), "write #")
				return l.withoutWords(append(kept, line[i:]...), len(kept), len(line))
			}
			last := i+1 == len(line) || line[i+1].kind != wordToken
			if (l.sign(&t, ";", last, `a line does not end with ";"`) || l.sign(&t, ",", true, `no "," stands behind a word`)) && t.Text == "" {
				continue
			}
		}
		if len(kept) == i && t == line[i] { // it stands there already
			kept = line[:i+1]
		} else {
			kept = append(kept, t)
		}
	}
	l.tokens = l.tokens[:len(l.tokens)-len(line)+len(kept)]
	return kept
}

// sign takes a sign away that a word ends with, where it may not.
func (l *lexer) sign(t *Token, sign string, here bool, message string) bool {
	if !here || !strings.HasSuffix(t.Text, sign) || !strings.HasSuffix(t.Place.Text(), sign) {
		return false
	}
	at := t.Place
	at.column += int32(runes(at.Text()) - 1)
	at.start = at.end - 1
	l.diags.ErrorOnce("sign "+sign, at, message, "take it out: it is a part of the word")
	t.Text = strings.TrimRight(t.Text, sign)
	return true
}

// isComment tells whether a word behind others begins a comment in other languages.
func isComment(t *Token) bool {
	text := t.Place.Text()
	return text == "//" || text == "--" || text == "/*"
}

// withoutWords takes the words from one on out of the line that is read last, which was
// so long.
func (l *lexer) withoutWords(line []Token, from, was int) []Token {
	kept := line[:from]
	for _, t := range line[from:] {
		if t.kind >= lineToken {
			kept = append(kept, t)
		}
	}
	l.tokens = l.tokens[:len(l.tokens)-was+len(kept)]
	return kept
}

// foreignComment tells whether a line begins as a comment does in other languages.
func (l *lexer) foreignComment(first Token) bool {
	for _, sign := range []string{"//", "/*", "--", ";"} {
		if sign == "--" && first.Text != sign {
			continue // an option, or a line of a drawing
		}
		if strings.HasPrefix(first.Text, sign) && (first.Text != ";" || l.first == len(l.tokens) || first.alone()) {
			at := first.Place
			at.end = at.start + int32(len(sign))
			l.diags.ErrorOnce("comment", at, fmt.Sprintf("%q begins no comment", sign), "write #")
			return true
		}
	}
	return false
}

// assigns takes the sign out that other languages have between a name and its value.
func (b *builder) assigns(st *Statement) {
	spec, first := b.top().spec, st.Words[0]
	if spec == nil || first.broken {
		return
	}
	if spec.Lookup(first.Text) != nil {
		if len(st.Words) < 2 || slices.Contains(freeText, first.Text) {
			return
		}
		value := st.Words[1]
		sign := value.Text[:len(value.Text)-len(strings.TrimLeft(value.Text, "=:>"))]
		if sign == "" || strings.HasPrefix(sign, "::") || sign == ">" {
			return
		}
		b.assigned(value, sign)
		if value.Text = value.Text[len(sign):]; value.Text == "" {
			st.Words = slices.Delete(slices.Clone(st.Words), 1, 2)
			return
		}
		st.Words = slices.Clone(st.Words)
		st.Words[1] = value
		return
	}
	i := strings.IndexAny(first.Text, "=:")
	if i < 1 || spec.Lookup(first.Text[:i]) == nil {
		return
	}
	b.assigned(first, first.Text[i:i+1])
	words := []Token{first}
	words[0].Text = first.Text[:i]
	if value := first.Text[i+1:]; value != "" {
		words = append(words, first)
		words[1].Text = value
	}
	st.Words = append(words, st.Words[1:]...)
	if len(words) == 1 {
		b.assignsAgain(st)
	}
}

// assignsAgain takes a sign that stands behind another.
func (b *builder) assignsAgain(st *Statement) {
	if len(st.Words) > 1 && st.Words[1].Text == "=" {
		st.Words = slices.Delete(slices.Clone(st.Words), 1, 2)
	}
}

func (b *builder) assigned(at Token, sign string) {
	b.diags.ErrorOnce("assign", at.Place, fmt.Sprintf("no %q stands between a keyword and its value", sign), "expected a blank")
}

// tag is how a tag of HTML that stands around a text begins.
var tag = regexp.MustCompile(`(?i)^<(!doctype|!--|/?(html|head|body|pre|code|div|p|span|br|title|meta|table|tbody|tr|td|h[1-6]|a|ul|li)\b)`)

// markup takes a line of HTML.
func (l *lexer) markup(first Token) bool {
	if !strings.HasPrefix(first.Text, "<") || !tag.MatchString(first.Text) {
		return false
	}
	l.diags.ErrorOnce("html", first.Place, "a line of HTML", "take it out")
	return true
}

// entity reads an entity of HTML as its character.
func (l *lexer) entity(t *Token) {
	if !strings.Contains(t.Text, "&") || t.Text != t.Place.Text() {
		return
	}
	if plain := html.UnescapeString(t.Text); plain != t.Text && strings.Contains(t.Text, ";") {
		l.diags.ErrorOnce("entity", t.Place, "an entity of HTML", "write the character itself")
		t.Text = plain
	}
}

// The lines of a patch: what is taken out, and what comes.
const patchLine, patchHint = "a line of a patch", "take the lines with - out, and the sign of those with +"

// changes tells whether a word at the start of a line is the sign of a patch's, or begins with
// it.
func changes(first Token, sign string) bool {
	rest, ok := strings.CutPrefix(first.Text, sign)
	return ok && (rest == "" || rest[0] >= 'a' && rest[0] <= 'z') && first.Place.column == 1 && !first.Place.Src.expanded
}

// removed takes a line that a patch takes out.
func (l *lexer) removed(first Token) bool {
	if !changes(first, "-") {
		return false
	}
	l.diags.ErrorOnce("patch", first.Place, patchLine, patchHint)
	return true
}

// added takes the sign away from a line that comes with a patch.
func (l *lexer) added(line []Token) []Token {
	first := line[0]
	if first.kind != wordToken || !changes(first, "+") {
		return line
	}
	l.diags.ErrorOnce("patch", first.Place, patchLine, patchHint)
	if line[0].Text = first.Text[1:]; line[0].Text == "" {
		line = slices.Delete(line, 0, 1)
		l.tokens = l.tokens[:len(l.tokens)-1]
	}
	return line
}
