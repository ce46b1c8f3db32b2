package pcre

import (
	"fmt"
	"strconv"
	"strings"
)

// push opens a group that begins so.
func (t *translator) push(open string) *frame {
	t.top().flush()
	f := &frame{open: open, flags: t.flags, begin: t.at}
	t.stack = append(t.stack, f)
	return f
}

// open reads what begins with (.
func (t *translator) open() error {
	t.at++
	switch {
	case t.skip("*"):
		return t.errorf("verbs (*...) are not known to weir")
	case !t.skip("?"):
		if t.flags.noCapture {
			t.push("(?:")
			return nil
		}
		t.push(t.capture())
		return nil
	}
	for _, plain := range []string{":", "=", "!", ">", "<=", "<!"} {
		if t.skip(plain) {
			t.push("(?" + plain)
			return nil
		}
	}
	switch {
	case t.skip("#"), t.skip("C"): // a comment, or a callout without a function
		_, _, closed := strings.Cut(t.in[t.at:], ")")
		if !closed {
			return t.errorf("( is not closed")
		}
		t.at += strings.IndexByte(t.in[t.at:], ')') + 1
		return nil
	case t.skip("|"):
		f := t.push("(?:")
		f.reset, f.first, f.most = true, t.groups, t.groups
		return nil
	case t.skip("P="):
		return t.reference(")")
	case t.skip("P<"), t.skip("<"):
		return t.named(">")
	case t.skip("'"):
		return t.named("'")
	case t.skip("("):
		return t.condition()
	case strings.HasPrefix(t.in[t.at:], "^"), strings.IndexByte("imsxnJU-)", t.peek()) >= 0:
		return t.options()
	}
	return t.errorf("recursion and (?%c are not known to weir", t.peek())
}

// peek is the next byte, 0 at the end.
func (t *translator) peek() byte {
	if t.at < len(t.in) {
		return t.in[t.at]
	}
	return 0
}

// capture is the beginning of the next group that captures.
func (t *translator) capture() string {
	t.groups++
	return fmt.Sprintf("(?<%d>", t.groups)
}

// upTo takes a name and what closes it.
func (t *translator) upTo(end string) (name string, err error) {
	name, _, closed := strings.Cut(t.in[t.at:], end)
	if !closed || name == "" || strings.IndexFunc(name, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
	}) >= 0 {
		return "", t.errorf("a name is missing or not closed")
	}
	t.at += len(name) + len(end)
	return name, nil
}

// named opens a group with a name.
func (t *translator) named(end string) error {
	name, err := t.upTo(end)
	if err != nil {
		return err
	}
	if name[0] >= '0' && name[0] <= '9' {
		return t.errorf("a name begins with a digit")
	}
	t.push(t.capture())
	if !t.known {
		t.names[name] = append(t.names[name], t.groups)
	}
	return nil
}

// reference is a back reference by a name.
func (t *translator) reference(end string) error {
	name, err := t.upTo(end)
	if err != nil {
		return err
	}
	numbers := t.names[name]
	if t.known && len(numbers) == 0 {
		return t.errorf("no group is called %s", name)
	}
	t.top().add(t.backTo(numbers))
	return nil
}

// backTo is a back reference to the first of these groups that has captured.
func (t *translator) backTo(numbers []int) string {
	if len(numbers) == 0 {
		return "(?!)"
	}
	out := fmt.Sprintf(`\k<%d>`, numbers[0])
	if len(numbers) > 1 {
		out = fmt.Sprintf("(?(%d)%s|%s)", numbers[0], out, t.backTo(numbers[1:]))
	} else if t.flags.unsetMatches {
		out = fmt.Sprintf("(?(%d)%s|)", numbers[0], out)
	}
	return t.caseless("(?:" + out + ")")
}

// backToNumber is a back reference by a number, of which a relative one has its sign.
func (t *translator) backToNumber(text string) (string, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return "", t.errorf("%s is no number of a group", text)
	case text[0] == '-':
		n += t.groups + 1
	case text[0] == '+':
		n += t.groups
	}
	if n < 1 || t.known && n > t.total {
		return "", t.errorf("there is no group %s", text)
	}
	return t.backTo([]int{n}), nil
}

// condition opens (?(...)yes|no).
func (t *translator) condition() error {
	if t.peek() == '?' { // an assertion, which is read next
		t.at--
		f := t.push("(?")
		f.condition = true
		if !strings.HasPrefix(t.in[t.at:], "(?=") && !strings.HasPrefix(t.in[t.at:], "(?!") && !strings.HasPrefix(t.in[t.at:], "(?<") {
			return t.errorf("a condition is no assertion")
		}
		return nil
	}
	inner, _, closed := strings.Cut(t.in[t.at:], ")")
	if !closed {
		return t.errorf("( is not closed")
	}
	t.at += len(inner) + 1
	name := strings.Trim(inner, "<>'")
	numbers := t.names[name]
	if n, err := strconv.Atoi(inner); err == nil {
		switch inner[0] {
		case '-':
			n += t.groups + 1
		case '+':
			n += t.groups
		}
		numbers = []int{n}
	}
	switch {
	case !t.known && len(numbers) == 0:
		numbers = []int{1}
	case len(numbers) != 1 || numbers[0] < 1 || t.known && numbers[0] > t.total:
		return t.errorf("the condition (%s) is not known to weir", inner)
	}
	t.push(fmt.Sprintf("(?(%d)", numbers[0])).condition = true
	return nil
}

// options reads (?i) and (?i:...).
func (t *translator) options() error {
	next, on := t.flags, true
	if t.skip("^") {
		next.caseless, next.multiline, next.dotAll, next.extended, next.noCapture = false, false, false, false, false
	}
	for {
		switch t.peek() {
		case '-':
			on = false
		case 'i':
			next.caseless = on
		case 'm':
			next.multiline = on
		case 's':
			next.dotAll = on
		case 'n':
			next.noCapture = on
		case 'x':
			next.extended = on
			if strings.HasPrefix(t.in[t.at:], "xx") {
				return t.errorf("(?xx is not known to weir")
			}
		case 'U':
			next.ungreedy = on
		case 'J':
		case ')':
			t.at++
			t.top().flush()
			t.flags = next
			return nil
		case ':':
			t.at++
			t.push("(?:")
			t.flags = next
			return nil
		default:
			return t.errorf("%q is no option", t.peek())
		}
		t.at++
	}
}

// backslash reads what begins with \ outside of [].
func (t *translator) backslash() (string, error) {
	begin := t.at
	t.at++
	c := t.peek()
	if set, known := t.setOf(c); known {
		t.at++
		if t.flags.ucp && strings.IndexByte("dDwWsS", c) >= 0 {
			return `\` + string(c), nil
		}
		return t.class(set, "", false), nil
	}
	if text, known := t.placed(c); known {
		t.at++
		return text, nil
	}
	switch {
	case t.skip("Q"):
		quoted, _, closed := strings.Cut(t.in[t.at:], `\E`)
		for end := t.at + len(quoted); t.at < end; {
			t.top().add(t.caseless(t.char(t.next())))
		}
		if closed {
			t.at += 2
		}
		return t.last(), nil
	case t.skip("E"):
		return t.last(), nil
	case t.skip("K"):
		t.keeps = true
		return fmt.Sprintf("(?<%d>)", keepGroup), nil
	case c == 'C' && !t.flags.utf && len(t.flags.never) == 0:
		t.at++
		return `[\s\S]`, nil
	case c == 'p' || c == 'P':
		t.at = begin
		text, err := t.property()
		return t.caseless("[" + text + "]"), err
	case t.skip("g"), t.skip("k"):
		return t.longReference(c)
	case c >= '1' && c <= '9':
		n := t.count(9, "0123456789")
		if text := t.in[t.at : t.at+n]; n == 1 || c >= '8' || t.captured(text) {
			t.at += n
			return t.backToNumber(text)
		}
	}
	one, err := t.escaped(false)
	return t.caseless(t.char(one)), err
}

// last takes the last atom back, so that it is added once more.
func (t *translator) last() string {
	f := t.top()
	atom := f.atom
	f.atom = ""
	return atom
}

// captured says whether there are so many groups before here.
func (t *translator) captured(number string) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n <= t.groups
}

// placed are the letters behind a backslash that stand for places and sequences.
func (t *translator) placed(letter byte) (text string, known bool) {
	switch letter {
	case 'A', 'z', 'G':
		return `\` + string(letter), true
	case 'Z':
		return `(?=\n?\z)`, true
	case 'b', 'B':
		if t.flags.utf && !t.flags.ucp {
			word := t.class(words, "", false)
			return map[byte]string{
				'b': "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))",
				'B': "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))",
			}[letter], true
		}
		return `\` + string(letter), true
	case 'N':
		return `[^\n]`, true
	case 'R':
		return `(?>\r\n|` + t.class(breaks, "", false) + ")", true
	case 'X':
		if t.flags.utf {
			return `\X`, true
		}
		return `(?>\r\n|[\s\S])`, true
	}
	return "", false
}

// longReference reads \g{N}, \gN, \g{NAME}, \k{NAME}, \k<NAME> and \k'NAME'.
func (t *translator) longReference(letter byte) (string, error) {
	ends := map[byte]string{'{': "}", '<': ">", '\'': "'"}
	end := ends[t.peek()]
	if letter == 'g' && end != "}" {
		sign := ""
		if t.skip("-") {
			sign = "-"
		}
		n := t.count(9, "0123456789")
		if n == 0 {
			return "", t.errorf(`recursion by \g is not known to weir`)
		}
		text := sign + t.in[t.at:t.at+n]
		t.at += n
		return t.backToNumber(text)
	}
	if end == "" {
		return "", t.errorf(`\k lacks its name`)
	}
	t.at++
	if inner, _, closed := strings.Cut(t.in[t.at:], end); letter == 'g' && closed {
		if _, err := strconv.Atoi(inner); err == nil {
			t.at += len(inner) + 1
			return t.backToNumber(inner)
		}
	}
	if err := t.reference(end); err != nil {
		return "", err
	}
	return t.last(), nil
}
