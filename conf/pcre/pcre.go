// Package pcre matches texts against regular expressions of PCRE2, as keepalived's regex
// takes them. It translates them into those of a library that backtracks as PCRE2 does, so
// look-around, back references, atomic groups and conditions mean the same. Recursion,
// verbs such as (*SKIP) and callouts with a function are not known and refused.
//
// As in PCRE2 a character is a byte, unless the option utf is given.
package pcre

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// Regexp is a regular expression. Several goroutines may use it at once.
type Regexp struct {
	re    *regexp2.Regexp
	flags flags
	// keeps says that \K moves the start of a match.
	keeps bool
}

// Bounds of one match: how long it may take, and how many places to come back to it may
// note.
const (
	matchTimeout = time.Second
	matchStack   = 1 << 20
)

// Compile reads a pattern. The options are keepalived's names of PCRE2's. An error says
// what is wrong, and where in the pattern, from 0 on.
func Compile(pattern string, options ...string) (*Regexp, error) {
	t := translator{in: pattern}
	if err := t.set(options); err != nil {
		return nil, err
	}
	text, err := t.translate()
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(text, regexp2.OptionMaxBacktrackingStackSize(matchStack))
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression of PCRE2: %w", pattern, err)
	}
	re.MatchTimeout = matchTimeout
	return &Regexp{re, t.start, t.keeps}, nil
}

// Anywhere is the last byte at which a match may begin where none is given.
const Anywhere = -1

// Match looks for the first match that begins at byte from or behind it, and says whether
// it begins at byte last at the latest. The error is that the match took too much time or
// memory.
func (r *Regexp) Match(text []byte, from, last int) (bool, error) {
	at, _, ok, err := r.find(text, from)
	return ok && (last == Anywhere || at <= last), err
}

// find is where the first match begins and ends.
func (r *Regexp) find(text []byte, from int) (begin, end int, ok bool, err error) {
	if from > len(text) || r.flags.utf && !utf8.Valid(text) {
		return 0, 0, false, nil
	}
	runes, start := r.runes(text, from)
	m, err := r.re.FindRunesMatchStartingAt(runes, start)
	if err != nil {
		return 0, 0, false, fmt.Errorf("the regular expression asks too much: %w", err)
	}
	if m == nil {
		return 0, 0, false, nil
	}
	begin, end = m.RuneIndex, m.RuneIndex+m.RuneLength
	if r.flags.firstLine && slices.Contains(runes[start:begin], '\n') {
		return 0, 0, false, nil
	}
	if kept := m.GroupByNumber(keepGroup); r.keeps && kept != nil && len(kept.Captures) > 0 {
		begin = kept.RuneIndex
	}
	if r.flags.utf {
		begin, end = len(string(runes[:begin])), len(string(runes[:end]))
	}
	return begin, end, true, nil
}

// private is where bytes from 0x80 on go: to characters that are no letters and have no
// case, as such bytes are none for PCRE2.
const private = 0xE000

// runes are a text's characters, and start the number of the one at byte from.
func (r *Regexp) runes(text []byte, from int) (runes []rune, start int) {
	if r.flags.utf {
		return []rune(string(text)), utf8.RuneCount(text[:from])
	}
	runes = make([]rune, len(text))
	for i, b := range text {
		runes[i] = fromByte(b)
	}
	return runes, from
}

func fromByte(b byte) rune {
	if b < utf8.RuneSelf {
		return rune(b)
	}
	return private + rune(b)
}
