package text

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// definition is what a name stands for: a line, or several.
type definition struct {
	name  string
	first string
	// more are the lines behind the first, each with its end but the last.
	more string
}

// IsName tells whether a word is a use of a name, $NAME, that nothing defines.
func (t *Token) IsName() bool {
	name, found := strings.CutPrefix(t.Text, "$")
	return found && name != "" && leadingName(name) == name && t.Place.Src != nil && t.Place.Text() == t.Text
}

// definedName is the NAME of $NAME=..., and "" of any other word.
func definedName(word string) string {
	if !strings.HasPrefix(word, "$") {
		return ""
	}
	name := leadingName(word[1:])
	if name == "" || !strings.HasPrefix(word[1+len(name):], "=") {
		return ""
	}
	return name
}

// define takes a line $NAME=value. A backslash at its end goes on with the next
// line, and each is a line of the value, too, without what is blank around it; lines
// with nothing but a comment do not count, and an empty one is the end.
func (l *lexer) define(line, head, name string) {
	at := l.here()
	at = at.further(len(line)-len(head), 1+len(name))
	l.skip(len(line))
	first, goesOn := continued(head[len(name)+2:])
	var more strings.Builder
	for goesOn && l.pos < len(l.src.Text) && more.Len() <= maxExpanded {
		l.next()
		line := l.src.Text[l.pos:]
		if end := strings.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		l.sayCutIn(l.here().further(0, len(line)))
		l.skip(len(line))
		if strings.TrimRight(line, "\r") == "" {
			break
		}
		var value string
		switch value, goesOn = continued(line); {
		case value == "":
			goesOn = true // a comment, or nothing
		case first == "":
			first = value
		default:
			if more.Len() > 0 {
				more.WriteByte('\n')
			}
			more.WriteString(value)
		}
	}
	if strings.HasPrefix(name, "_") {
		l.diags.ErrorAt(at, "names that begin with _ are keepalived's own", "expected another name than "+Shorten(name))
		return
	}
	if l.run.inUse[name] > 0 {
		l.diags.ErrorAt(at, "$"+Shorten(name)+" defines itself while it is used", "expected another name; keepalived loses the rest of its value")
		return
	}
	d := definition{name, first, more.String()}
	if l.run.grow(len(d.first)+len(d.more), at, l.diags) {
		l.run.definitions[name] = d
	}
}

// continued is a line of a value without comments and blanks around it, and whether
// a backslash has it go on with the next one.
func continued(line string) (value string, goesOn bool) {
	value = strings.Trim(decomment(line), " \t\r")
	if value, goesOn = strings.CutSuffix(value, "\\"); goesOn {
		value = strings.TrimRight(value, " \t")
	}
	return value, goesOn
}

// decomment is a line up to its comment, without blanks at its end.
func decomment(line string) string {
	return strings.TrimRight(line[:commentOf(line)], " \t\r\v\f")
}

// commentOf is where the comment of a line begins, its end where it has none. A backslash
// before # or ! has it begin all the same, except in quotes: keepalived's parent takes it
// away, and its children read what the parent has written (read_line in lib/parser.c).
func commentOf(line string) int {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case !quoted && beginsComment(line[i:]) > 0:
			return i
		case c == '"':
			quoted = !quoted
		case c == '\\':
			i++
		}
	}
	return len(line)
}

// beginsComment is the length of what begins a comment at the start of a text, which is not
// in quotes: # or !, also behind a backslash. It is 0 where none begins.
func beginsComment(text string) int {
	size := 1
	if strings.HasPrefix(text, `\`) {
		size = 2
	}
	if len(text) < size || text[size-1] != '#' && text[size-1] != '!' {
		return 0
	}
	return size
}

// sayCutIn is cutByComment for a line that is not cut into words.
func (l *lexer) sayCutIn(line Place) {
	content := line.Text()
	end := commentOf(content)
	start := 1 + strings.LastIndexAny(content[:end], " \t\r\v\f")
	if start < end {
		l.cutByComment(line.further(start, end-start), content[end:])
	}
}

// use is the name that text, which begins with $, uses, and how many bytes the
// use takes: ${NAME}, or $NAME before a blank, a comma, a bracket or the end.
func use(text string) (name string, size int) {
	if strings.HasPrefix(text, "${") {
		end := 2 + strings.IndexAny(text[2:min(len(text), maxName)], "}{$\n")
		if end < 2 || text[end] != '}' {
			return "", 0
		}
		return text[2:end], end + 1
	}
	name = leadingName(text[1:])
	after := text[1+len(name):]
	if name == "" || after != "" && !strings.ContainsRune(" \t\r\v\f\n,)", rune(after[0])) {
		return "", 0
	}
	return name, 1 + len(name)
}

// lookup is what a name stands for: one that is defined, or one of keepalived's own.
func (run *Reading) lookup(l *lexer, name string) (definition, bool) {
	if d, ok := run.definitions[name]; ok {
		return d, true
	}
	value, ok := run.own(l, name)
	return definition{first: value}, ok
}

// own is what a name of keepalived's own stands for.
func (run *Reading) own(l *lexer, name string) (string, bool) {
	words := strings.Fields(name)
	if len(words) == 0 {
		return "", false
	}
	switch {
	case name == "_PWD":
		dir, err := filepath.Abs(filepath.Dir(l.src.file().Name))
		return dir, err == nil
	case name == "_INSTANCE":
		return run.configID(), true
	case name == "_HASH":
		return "#", true
	case name == "_BANG":
		return "!", true
	case words[0] == "_RANDOM" && len(words) <= 3:
		return random(words[1:])
	case words[0] == "_ENV" && len(words) == 2:
		return os.LookupEnv(words[1])
	}
	return "", false
}

// random is ${_RANDOM [MIN [MAX]]}: from 0 to 32767 where nothing is said.
func random(bounds []string) (string, bool) {
	least, most := 0, 32767
	for i, to := range []*int{&least, &most} {
		if i < len(bounds) {
			n, err := strconv.Atoi(bounds[i])
			if err != nil || n < 0 || n > 1<<30 {
				return "", false
			}
			*to = n
		}
	}
	if most < least {
		return "", false
	}
	return strconv.Itoa(least + rand.IntN(most-least+1)), true
}

// leadingName is the name that text begins with: letters, digits and
// underscores, not beginning with a digit.
func leadingName(text string) string {
	n := 0
	for n < len(text) && (isLetter(text[n]) || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return text[:n]
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
