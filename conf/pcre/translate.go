package pcre

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// translator turns a pattern of PCRE2 into one of the library. What its flags mean (case,
// lines, blanks) is written out, so that the library needs none of its own.
type translator struct {
	in    string
	at    int
	flags flags
	start flags // those of the whole pattern
	// groups counts the groups that capture so far, and names are their numbers by name.
	groups int
	names  map[string][]int
	// total is how many groups there are, once the pattern has been read.
	total int
	known bool
	keeps bool
	stack []*frame
}

// frame is a group that is open.
type frame struct {
	out strings.Builder
	// open is what the group begins with.
	open  string
	flags flags // behind it
	// atom is the last thing that may be repeated, and repeated says that it already is.
	atom     string
	repeated bool
	// reset says that each alternative numbers its groups anew, from first on, and most
	// is the greatest number.
	reset       bool
	first, most int
	// condition says that it has at most two alternatives, and bars counts what parts them.
	condition bool
	bars      int
	begin     int
}

// keepGroup is the number of the group that remembers where \K stood.
const keepGroup = 100000

func (t *translator) errorf(format string, args ...any) error {
	return fmt.Errorf("%q is no regular expression that weir can use, at %d: %s", t.in, t.at, fmt.Sprintf(format, args...))
}

// translate reads the pattern twice: names and numbers may stand before their groups.
func (t *translator) translate() (text string, err error) {
	begin, start := t.at, t.flags
	for range 2 {
		t.at, t.flags, t.groups, t.stack = begin, start, 0, []*frame{{}}
		if !t.known {
			t.names = map[string][]int{}
		}
		for t.at < len(t.in) {
			if err := t.step(); err != nil {
				return "", err
			}
		}
		if len(t.stack) > 1 {
			t.at = t.top().begin
			return "", t.errorf("( is not closed")
		}
		t.known, t.total = true, t.groups
	}
	return t.top().text(), nil
}

func (t *translator) top() *frame { return t.stack[len(t.stack)-1] }

// text is what a group holds.
func (f *frame) text() string {
	f.flush()
	return f.out.String()
}

// flush writes the last atom: nothing repeats it any more.
func (f *frame) flush() {
	f.out.WriteString(f.atom)
	f.atom, f.repeated = "", false
}

// add is the next atom.
func (f *frame) add(atom string) {
	f.flush()
	f.atom = atom
}

// skip takes a text if it is the next.
func (t *translator) skip(text string) bool {
	if !strings.HasPrefix(t.in[t.at:], text) {
		return false
	}
	t.at += len(text)
	return true
}

// next takes one character.
func (t *translator) next() rune {
	if !t.flags.utf {
		t.at++
		return rune(t.in[t.at-1])
	}
	c, n := utf8.DecodeRuneInString(t.in[t.at:])
	t.at += n
	return c
}

// step takes the next part of the pattern.
func (t *translator) step() (err error) {
	f, atom := t.top(), ""
	c := t.in[t.at]
	switch {
	case t.flags.extended && strings.IndexByte(" \t\n\v\f\r", c) >= 0:
		t.at++
		return nil
	case t.flags.extended && c == '#':
		comment, _, _ := strings.Cut(t.in[t.at:], "\n")
		t.at += len(comment)
		return nil
	case c == '(':
		return t.open()
	case c == ')':
		return t.close()
	case c == '|':
		return t.bar()
	case c == '*' || c == '+' || c == '?' || c == '{' && t.counted() != "":
		return t.repeat()
	case c == '\\':
		atom, err = t.backslash()
	case c == '[':
		atom, err = t.readClass()
		atom = t.caseless(atom)
	default:
		atom = t.plain(t.next())
	}
	if err != nil {
		return err
	}
	f.add(atom)
	return nil
}

// plain is a character that stands for itself, or for a place.
func (t *translator) plain(c rune) string {
	switch {
	case c == '^' && t.flags.multiline && t.flags.altCircumflex:
		return `(?:\A|(?<=\n))`
	case c == '^' && t.flags.multiline:
		return `(?:\A|(?<=\n)(?!\z))`
	case c == '^':
		return `\A`
	case c == '$' && t.flags.multiline:
		return `(?=\n|\z)`
	case c == '$' && t.flags.dollarEnd:
		return `\z`
	case c == '$':
		return `(?=\n?\z)`
	case c == '.' && t.flags.dotAll:
		return `[\s\S]`
	case c == '.':
		return `[^\n]`
	}
	return t.caseless(t.char(c))
}

// caseless has an atom match in either case.
func (t *translator) caseless(atom string) string {
	if t.flags.caseless {
		return "(?i:" + atom + ")"
	}
	return atom
}

// bar begins the next alternative.
func (t *translator) bar() error {
	f := t.top()
	t.at++
	f.flush()
	f.out.WriteByte('|')
	if f.bars++; f.condition && f.bars > 1 {
		return t.errorf("a condition has more than two alternatives")
	}
	if f.reset {
		f.most, t.groups = max(f.most, t.groups), f.first
	}
	return nil
}

// close ends a group.
func (t *translator) close() error {
	if len(t.stack) == 1 {
		return t.errorf(") closes nothing")
	}
	f := t.top()
	t.at++
	t.stack = t.stack[:len(t.stack)-1]
	t.flags = f.flags
	if f.reset {
		t.groups = max(f.most, t.groups)
	}
	t.top().add(f.open + f.text() + ")")
	return nil
}

// counted is the {...} that repeats what stands before it; empty where it is plain text.
func (t *translator) counted() string {
	inner, _, closed := strings.Cut(t.in[t.at+1:], "}")
	least, most, ranged := strings.Cut(inner, ",")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !closed || least == "" || !digits(least) || ranged && !digits(most) {
		return ""
	}
	return "{" + inner + "}"
}

// repeat takes * + ? {n} {n,} {n,m}, and ? or + behind it.
func (t *translator) repeat() error {
	f, how := t.top(), t.in[t.at:t.at+1]
	if how == "{" {
		how = t.counted()
		var least, most int
		if n, _ := fmt.Sscanf(how, "{%d,%d}", &least, &most); n == 2 && least > most || max(least, most) > 65535 {
			return t.errorf("%s is out of order or too much", how)
		}
	}
	if f.atom == "" || f.repeated {
		return t.errorf("%s repeats nothing", how)
	}
	t.at += len(how)
	lazy := t.flags.ungreedy
	switch {
	case t.skip("+"):
		f.atom = "(?>" + f.atom + how + ")"
	case t.skip("?") != lazy:
		f.atom = "(?:" + f.atom + how + "?)"
	default:
		f.atom = "(?:" + f.atom + how + ")"
	}
	f.repeated = true
	return nil
}
