package pcre

import (
	"strconv"
	"strings"
)

// escaped reads what stands for one character behind a backslash.
func (t *translator) escaped(inClass bool) (rune, error) {
	if t.at >= len(t.in) {
		return 0, t.errorf(`\ stands at the end`)
	}
	c := t.next()
	switch c {
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1B, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'c':
		if t.at >= len(t.in) || t.in[t.at] < ' ' || t.in[t.at] > '~' {
			return 0, t.errorf(`\c is not followed by a printable character`)
		}
		return rune(strings.ToUpper(t.in[t.at : t.at+1])[0] ^ 0x40), t.advance(1)
	case 'x':
		return t.hexadecimal()
	case 'u':
		if t.flags.altBsux {
			if n := t.count(4, "0123456789abcdefABCDEF"); n == 4 {
				return t.number(n, 16)
			}
			return 'u', nil
		}
	case 'o':
		inner, closed := t.braced()
		if !closed {
			return 0, t.errorf(`\o is not followed by {}`)
		}
		return t.number0(inner, 8)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		t.at--
		return t.number(t.count(3, "01234567"), 8)
	}
	if c < 0x80 && (c >= '0' && c <= '9' && !inClass || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
		return 0, t.errorf(`\%c is not known`, c)
	}
	return c, nil
}

// hexadecimal reads \xHH and \x{H...}.
func (t *translator) hexadecimal() (rune, error) {
	if t.flags.altBsux {
		if n := t.count(2, "0123456789abcdefABCDEF"); n == 2 {
			return t.number(n, 16)
		}
		return 'x', nil
	}
	if inner, closed := t.braced(); closed {
		return t.number0(inner, 16)
	}
	return t.number(t.count(2, "0123456789abcdefABCDEF"), 16)
}

// braced takes {...}.
func (t *translator) braced() (inner string, ok bool) {
	if !strings.HasPrefix(t.in[t.at:], "{") {
		return "", false
	}
	inner, _, ok = strings.Cut(t.in[t.at+1:], "}")
	if ok {
		t.at += len(inner) + 2
	}
	return inner, ok
}

// count is how many of these characters follow, n at the most.
func (t *translator) count(n int, of string) (found int) {
	for found < n && t.at+found < len(t.in) && strings.IndexByte(of, t.in[t.at+found]) >= 0 {
		found++
	}
	return found
}

// number takes n digits; none are 0.
func (t *translator) number(n, base int) (rune, error) {
	digits := t.in[t.at : t.at+n]
	t.at += n
	if n == 0 {
		return 0, nil
	}
	return t.number0(digits, base)
}

func (t *translator) number0(digits string, base int) (rune, error) {
	v, err := strconv.ParseUint(digits, base, 32)
	if err != nil || rune(v) > t.greatest() || v >= 0xD800 && v < 0xE000 {
		return 0, t.errorf("%s is no character", digits)
	}
	return rune(v), nil
}

func (t *translator) advance(n int) error {
	t.at += n
	return nil
}

// property translates \p{...}, \P{...} and \pL, which take ucp's tables in both.
func (t *translator) property() (string, error) {
	if !t.flags.utf {
		return "", t.errorf(`\p is not known without the option utf`)
	}
	out := t.in[t.at : t.at+2]
	t.at += 2
	name, closed := t.braced()
	switch {
	case !closed && t.at < len(t.in):
		name = t.in[t.at : t.at+1]
		t.at++
	case !closed:
		return "", t.errorf(`\p lacks its property`)
	}
	if rest, not := strings.CutPrefix(name, "^"); not {
		name, out = rest, map[string]string{`\p`: `\P`, `\P`: `\p`}[out]
	}
	return out + "{" + name + "}", nil
}
