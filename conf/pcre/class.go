package pcre

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// span is the characters from first to last.
type span struct{ first, last rune }

// The sets behind a backslash, and the POSIX classes (pcre2pattern(3)), in ASCII.
var (
	digits = []span{{'0', '9'}}
	words  = []span{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	spaces = []span{{'\t', '\r'}, {' ', ' '}}
	// blanks and breaks are horizontal and vertical space.
	blanks = []span{{'\t', '\t'}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200A}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}}
	breaks = []span{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}

	posix = map[string][]span{
		"alnum": {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, "alpha": {{'A', 'Z'}, {'a', 'z'}}, "ascii": {{0, 127}},
		"blank": {{'\t', '\t'}, {' ', ' '}}, "cntrl": {{0, 31}, {127, 127}}, "digit": digits, "graph": {{33, 126}},
		"lower": {{'a', 'z'}}, "print": {{32, 126}}, "punct": {{33, 47}, {58, 64}, {91, 96}, {123, 126}},
		"space": spaces, "upper": {{'A', 'Z'}}, "word": words, "xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
	}
)

// setOf is the set of a letter behind a backslash.
func (t *translator) setOf(letter byte) (set []span, known bool) {
	switch letter | 0x20 {
	case 'd':
		set = digits
	case 'w':
		set = words
	case 's':
		set = spaces
	case 'h':
		set = blanks
	case 'v':
		set = breaks
	default:
		return nil, false
	}
	if letter < 'a' {
		set = t.others(set)
	}
	return set, true
}

// greatest is the last character that there is.
func (t *translator) greatest() rune {
	if t.flags.utf {
		return utf8.MaxRune
	}
	return 0xFF
}

// others are the characters that are not in a set.
func (t *translator) others(set []span) (rest []span) {
	sorted := slices.Clone(set)
	slices.SortFunc(sorted, func(a, b span) int { return int(a.first - b.first) })
	next := rune(0)
	for _, s := range sorted {
		if s.first > next {
			rest = append(rest, span{next, s.first - 1})
		}
		next = max(next, s.last+1)
	}
	if next <= t.greatest() {
		rest = append(rest, span{next, t.greatest()})
	}
	return rest
}

// char writes one character of the pattern so that it stands for itself.
func (t *translator) char(c rune) string {
	if !t.flags.utf && c >= utf8.RuneSelf {
		c += private
	}
	if c < 0x10000 {
		return fmt.Sprintf(`\u%04X`, c)
	}
	return string(c)
}

// class writes a set as the library has it.
func (t *translator) class(set []span, raw string, not bool) string {
	var b strings.Builder
	for _, s := range set {
		last := min(s.last, t.greatest())
		if s.first > last {
			continue
		}
		b.WriteString(t.char(s.first))
		if last > s.first {
			b.WriteString("-" + t.char(last))
		}
	}
	b.WriteString(raw)
	switch {
	case b.Len() > 0 && not:
		return "[^" + b.String() + "]"
	case b.Len() > 0:
		return "[" + b.String() + "]"
	case not:
		return `[\s\S]`
	}
	return "(?!)"
}

// readClass translates what begins with [.
func (t *translator) readClass() (string, error) {
	begin := t.at
	t.at++
	not := t.skip("^")
	var set []span
	raw := ""
	for first := true; ; first = false {
		for t.skip(`\E`) {
		}
		switch {
		case t.at >= len(t.in):
			t.at = begin
			return "", t.errorf("[ is not closed")
		case t.in[t.at] == ']' && (!first || t.flags.emptyClass):
			t.at++
			return t.class(set, raw, not), nil
		case t.skip(`\Q`):
			quoted, _, _ := strings.Cut(t.in[t.at:], `\E`)
			for end := t.at + len(quoted); t.at < end; {
				c := t.next()
				set = append(set, span{c, c})
			}
			continue
		}
		item, more, err := t.readRange()
		if err != nil {
			return "", err
		}
		set, raw = append(set, item...), raw+more
	}
}

// readRange reads one item in [], or two with - between.
func (t *translator) readRange() (set []span, raw string, err error) {
	set, raw, err = t.readItem()
	rest := t.in[t.at:]
	if err != nil || len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		return set, raw, err
	}
	t.at++
	last, more, err := t.readItem()
	switch {
	case err != nil:
		return nil, "", err
	case !single(set, raw) || !single(last, more):
		return nil, "", t.errorf("a range in [] has a set at its end")
	case set[0].first > last[0].first:
		return nil, "", t.errorf("a range in [] is out of order")
	}
	return []span{{set[0].first, last[0].first}}, "", nil
}

// single says whether an item in [] is one character.
func single(set []span, raw string) bool {
	return raw == "" && len(set) == 1 && set[0].first == set[0].last
}

// readItem reads one character, or one set, in []. raw is what the library writes alike.
func (t *translator) readItem() (set []span, raw string, err error) {
	rest := t.in[t.at:]
	if strings.HasPrefix(rest, "[:") {
		if name, _, closed := strings.Cut(rest[2:], ":]"); closed && strings.Trim(name, "^abcdefghijklmnopqrstuvwxyz") == "" {
			plain := strings.TrimPrefix(name, "^")
			set, known := posix[plain]
			if !known {
				return nil, "", t.errorf("[:%s:] is no class", name)
			}
			if t.flags.caseless && (plain == "upper" || plain == "lower") {
				set = posix["alpha"]
			}
			if plain != name {
				set = t.others(set)
			}
			t.at += len(name) + 4
			return set, "", nil
		}
	}
	if rest[0] != '\\' {
		c := t.next()
		return []span{{c, c}}, "", nil
	}
	if len(rest) > 1 {
		if set, known := t.setOf(rest[1]); known {
			t.at += 2
			if t.flags.ucp && strings.IndexByte("dDwWsS", rest[1]) >= 0 {
				return nil, rest[:2], nil
			}
			return set, "", nil
		}
		switch rest[1] {
		case 'p', 'P':
			raw, err := t.property()
			return nil, raw, err
		case 'b':
			t.at += 2
			return []span{{'\b', '\b'}}, "", nil
		case 'B', 'R', 'X', 'N', 'A', 'z', 'Z', 'G', 'K', 'k', 'g':
			return nil, "", t.errorf(`\%c stands for nothing in []`, rest[1])
		}
	}
	t.at++
	c, err := t.escaped(true)
	return []span{{c, c}}, "", err
}
