package text

import (
	"strconv"
	"strings"
)

// simpleEscapes are the one-letter escapes of a double-quoted string; any
// other \C is C.
const simpleEscapes = "a\ab\bE\x1bf\fn\nr\rt\tv\v"

// escape takes a backslash and what it escapes: a letter of simpleEscapes,
// octal \nnn, hexadecimal \xXX, or control \cC.
func (l *lexer) escape(text *strings.Builder) {
	l.next()
	c := l.peek(0)
	switch i := strings.IndexByte(simpleEscapes, c); {
	case c >= '0' && c <= '7':
		l.number(text, 3, 8)
	case c == 'x' && digitValue(l.peek(1)) < 16:
		l.next()
		l.number(text, 2, 16)
	case c == 'c' && l.peek(1) > ' ' && l.peek(1) < 0x7f && l.peek(1) != '"':
		l.next()
		text.WriteByte(l.peek(0) & 0x1f)
		l.next()
	case i >= 0 && i%2 == 0:
		l.next()
		text.WriteByte(simpleEscapes[i+1])
	default:
		text.WriteString(l.next())
	}
}

// number takes up to digits digits and writes the byte they make.
func (l *lexer) number(text *strings.Builder, digits, base int) {
	start := l.pos
	for l.pos-start < digits && digitValue(l.peek(0)) < base {
		l.next()
	}
	n, err := strconv.ParseUint(l.src.Text[start:l.pos], base, 16)
	if err == nil {
		text.WriteByte(byte(n))
	}
}

// digitValue is the value of a hexadecimal digit, 16 for another byte.
func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 16
}
