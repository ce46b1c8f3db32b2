package text

import (
	"fmt"
	"strings"
)

// Written is a word as a text has it, quotes and all; reading that gives the word.
func (t Token) Written() string {
	written := t.Place.Text()
	if written == "" || strings.ContainsAny(written, "\n\r") || strings.Contains(written, "${_") {
		return WriteWord(t.Text)
	}
	return written
}

// WriteWord is a word as a text has it, in quotes where it needs them.
func WriteWord(word string) string {
	plain := word != "" && word[0] != '@' && word[0] != '~' && strings.IndexFunc(word, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("\"'\\#!{}$;", c)
	}) < 0
	if plain {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f || c == '$':
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// AsPlain is the word as keepalived reads all words but those of programs and regular
// expressions (alloc_strvec_r in lib/parser.c): only a word that begins with " is quoted, up
// to the next one; ' and \ are nothing special. single is false where keepalived reads
// several words.
func (t Token) AsPlain() (word string, single bool) {
	written := t.Place.Text()
	if !strings.ContainsAny(written, "\"'\\") {
		return t.Text, true
	}
	if strings.HasPrefix(written, `"`) {
		inner, rest, _ := strings.Cut(written[1:], `"`)
		return inner, rest == ""
	}
	word = strings.NewReplacer(`\#`, "#", `\!`, "!").Replace(written)
	return word, !strings.ContainsAny(word, "\" \t")
}
